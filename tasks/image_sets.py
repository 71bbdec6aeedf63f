"""The published image test sets, a row each; `tasks.images_cls` reads them and states the layouts."""

from __future__ import annotations

from functools import partial

from suite.data import Dataset, Hub
from suite.task import AnyTask
from tasks.classification import CIFAR10_CLASSES
from tasks.images_cls import ImageNet, ImageSet, Photographs, cifar, cifar10, cifar10_1, cifar10_c, medmnist
from tasks.metric_sets import Measured

_KRIZHEVSKY = "no explicit licence; free use with citation (Krizhevsky 2009)"
_CIFAR_PAGE = "https://www.cs.toronto.edu/~kriz/cifar.html, binary version, unpacked"
_CIFAR100_NAMES = (
    "apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly "
    "camel can castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup "
    "dinosaur dolphin elephant flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower "
    "leopard lion lizard lobster man maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid "
    "otter palm_tree pear pickup_truck pine_tree plain plate poppy porcupine possum rabbit raccoon ray "
    "road rocket rose sea seal shark shrew skunk skyscraper snail snake spider squirrel streetcar "
    "sunflower sweet_pepper table tank telephone television tiger tractor train trout tulip turtle "
    "wardrobe whale willow_tree wolf woman worm"
)
CIFAR100_CLASSES = tuple(_CIFAR100_NAMES.split())
CORRUPTIONS = (
    *(
        "gaussian_noise",
        "shot_noise",
        "impulse_noise",
        "defocus_blur",
        "glass_blur",
        "motion_blur",
        "zoom_blur",
        "snow",
    ),
    *("frost", "fog", "brightness", "contrast", "elastic_transform", "pixelate", "jpeg_compression"),
    *("speckle_noise", "gaussian_blur", "spatter", "saturate"),
)
# name: (channels, classes, index of the positive one of two, licence)
_BY, _BY_NC = "CC-BY-4.0", "CC-BY-NC-4.0"
MEDMNIST: dict[str, tuple[int, tuple[str, ...], int, str]] = {
    "pathmnist": (3, tuple("012345678"), 1, _BY),
    "dermamnist": (3, tuple("0123456"), 1, _BY_NC),
    "octmnist": (1, tuple("0123"), 1, _BY),
    "pneumoniamnist": (1, ("normal", "pneumonia"), 1, _BY),
    "retinamnist": (3, tuple("01234"), 1, _BY),
    "breastmnist": (1, ("malignant", "normal or benign"), 0, _BY),
    "bloodmnist": (3, tuple("01234567"), 1, _BY),
    "tissuemnist": (1, tuple("01234567"), 1, _BY),
    **{f"organ{plane}mnist": (1, tuple(map(str, range(11))), 1, _BY) for plane in "acs"},
}

CIFAR10 = ImageSet(
    name="cifar10",
    title="CIFAR-10, the 10,000 test images",
    version="1",
    dataset=Dataset(
        name="cifar10",
        content_sha256="",
        files={"cifar-10-batches-bin/test_batch.bin": ""},
        licence=_KRIZHEVSKY,
        source=_CIFAR_PAGE,
        hub=Hub("uoft-cs/cifar10", split="test"),
    ),
    shape=(3, 32, 32),
    measured=Measured(CIFAR10_CLASSES),
    load=cifar10,
)
CIFAR100 = ImageSet(
    name="cifar100",
    title="CIFAR-100, the 10,000 test images, fine labels",
    version="1",
    dataset=Dataset(
        name="cifar100",
        content_sha256="",
        files={"cifar-100-binary/test.bin": ""},
        licence=_KRIZHEVSKY,
        source=_CIFAR_PAGE,
        hub=Hub("uoft-cs/cifar100", split="test"),
    ),
    shape=(3, 32, 32),
    measured=Measured(CIFAR100_CLASSES),
    load=partial(cifar, "cifar-100-binary/test.bin", 2, "fine_label"),
)
CIFAR10_1 = ImageSet(
    name="cifar10.1",
    title="CIFAR-10.1 (v6): 2,000 new images for CIFAR-10",
    version="1",
    dataset=Dataset(
        name="cifar10.1",
        content_sha256="",
        files={"cifar10.1_v6_data.npy": "", "cifar10.1_v6_labels.npy": ""},
        licence="MIT (the images are of TinyImages)",
        source="https://github.com/modestyachts/CIFAR-10.1, datasets/",
    ),
    shape=(3, 32, 32),
    measured=Measured(CIFAR10_CLASSES),
    load=cifar10_1,
)
IMAGENET = ImageNet(
    Photographs(
        name="imagenet-1k",
        content_sha256="",
        licence="ImageNet terms of access: non-commercial research",
        source="the 50,000 validation JPEGs from https://image-net.org in one folder a wnid, val/<wnid>/*.JPEG",
    )
)


def _corrupted(kind: str) -> ImageSet:
    return ImageSet(
        name=f"cifar10-c-{kind.replace('_', '-')}",
        title=f"CIFAR-10-C: {kind.replace('_', ' ')}, severities 1 to 5",
        version="1",
        dataset=Dataset(
            name="cifar10-c",
            content_sha256="",
            files={f"{kind}.npy": "", "labels.npy": ""},
            licence="CC-BY-4.0",
            source="https://zenodo.org/records/2535967, CIFAR-10-C.tar, unpacked",
        ),
        shape=(3, 32, 32),
        measured=Measured(CIFAR10_CLASSES),
        load=partial(cifar10_c, kind),
    )


def _medical(name: str) -> ImageSet:
    channels, classes, positive, licence = MEDMNIST[name]
    return ImageSet(
        name=f"medmnist-{name.removesuffix('mnist')}",
        title=f"MedMNIST v2: {name}, test split, 28 x 28",
        version="1",
        dataset=Dataset(
            name="medmnist",
            content_sha256="",
            files={f"{name}.npz": ""},
            licence=licence,
            source="https://zenodo.org/records/10519652",
        ),
        shape=(channels, 28, 28),
        measured=Measured(classes, positive=positive),
        load=partial(medmnist, name),
    )


ALL: tuple[AnyTask, ...] = (
    CIFAR10,
    CIFAR100,
    CIFAR10_1,
    *map(_corrupted, CORRUPTIONS),
    *map(_medical, MEDMNIST),
    IMAGENET,
)
