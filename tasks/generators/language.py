"""Stories in a small made-up language: text to predict and questions to answer, without any download.

A story has one or two people; each owns a coloured thing and carries it about. Its sentences can be predicted by
looking back (which colour, whose thing, where it is now: *recall*), by having memorised the world (where a village
lies, what one buys there, which animal makes which sound, who carries what: *fact*), or by grammar (number and gender
across a distracting noun: *agreement*). Some villages are mentioned often and some hardly ever. Two dialects differ in
word order, verbs, sounds and villages; *south* is a sixth of the training text and half of the test.

Every sentence tells one combination of words (person, colour, thing), and a hash of the combination says whether it
belongs to the training or to the test side: the sides share no sentence. All draws go through `random.Random.random`,
whose sequence Python promises to keep: the text is the same on every machine.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from typing import NamedTuple, TypeVar

VERSION = "1"
DIGESTS = {  # of this version's test documents and items, as `digest` computes them
    "documents": "0bbcf4cc4b3a2367326f529e8ae3875e642f5bd05d3cfead38512d8fccc986e6",
    "items": "70b6172bf564eddce28d4e52a0df4f3faf2572e17df70a39c221c59c2d61e6c4",
}
DIALECTS = ("north", "south")
SKILLS = {
    "recall": ("colour", "owner", "place"),
    "fact": ("land", "good", "sound", "tool"),
    "agreement": ("self", "number"),
}
N_DOCUMENTS = 120
N_ITEMS = {"recall": 288, "fact": 192, "agreement": 120}
N_CHOICES = 4
T = TypeVar("T")
_SOUTH_SHARE, _CONNECTED = 0.17, 0.3  # of the training stories; of the sentences, that begin with a connector
_WORDS = (150, 185)  # a story ends at the first sentence that reaches a length drawn from this range
_BEFORE = (1, 8)  # sentences between the introduction and the question of an item
_TEST_IN = 4  # one combination in so many belongs to the test side
_PLAN = ("move", "colour", "owner", "place") * 3 + ("land", "good") * 2 + ("sound", "tool", "self", "number")
_WORLD_TEXT = """
men: Adam, Boris, Cedric, Dorian, Edgar, Felix, Gregor, Hugo, Ivan, Jasper, Konrad, Uncle Piers
women: Agnes, Beatrix, Clara, Dora, Edith, Freya, Greta, Helga, Irene, Julia, Katrin, Aunt Mabel
colours: red, blue, green, yellow, white, black, brown, pale grey, dark purple, bright orange
things: lamp, boat, cart, drum, kite, ladder, basket, bowl, coat, rope, clock, copper kettle, chair, bell, silver ring
places: mill, barn, church, orchard, harbour, old stone bridge, tavern, forge, school, cellar, garden wall, lighthouse
crafts: oven, hammer, flour sack, fishing net, loom, needle and thread, chisel, plough, bag of herbs, quill, bow, brush
trades: baker, smith, miller, fisher, weaver, tailor, mason, farmer, doctor, scribe, hunter, painter
lands: Orvel, Sarn, Upper Dalm, Lower Dalm, Kesh, the Grey Isles, Vantria, the Marches of Ulm
goods: bread, salted fish, wool, iron nails, honey, lamp oil, apples, blue glass, pepper, leather boots, cheese, hemp
stems: Tarn, Hask, Bruns, Elder, Mor, Wend, Fal, Ostr, Kirk, Lang, Ash, Thorn, Bol, Sel, Wim, Grim, Cald, Stan, Ul, Rav
north tails: by, wick, holm, gard
south tails: combe, ham, ley, stead
animals: dog, cat, cow, horse, goat, hen, duck, pig, crow, owl, wolf, bee, snake, frog, mouse, lion
north sounds: bark, mew, moo, neigh, bleat, cluck, quack, grunt, caw, hoot, howl, hum, hiss, croak, squeak, roar
south sounds: yap, purr, low, snort, cry, chuck, chatter, squeal, croak, call out, bay, buzz, spit, sing, nibble, growl
moods: proud, ashamed, sure, tired, fond, afraid, weary, glad
states: old, broken, new, cheap, heavy, dusty, wet, famous
north links: After that, In the morning, Later, In the evening, One day, Before long
south links: Thereafter, At cockcrow, By and by, At eventide, On a day, Anon
north selves: himself, herself, itself, themselves
south selves: hisself, herself, itself, theirselves
north numbers: was, were, the boys, the girls, the children
south numbers: be, been, the lads, the lasses, the bairns"""
_WORLD = {name: tuple(words.split(", ")) for name, words in (row.split(": ") for row in _WORLD_TEXT.split("\n")[1:])}
_PEOPLE = _WORLD["men"] + _WORLD["women"]
_VILLAGES = {d: tuple(stem + tail for tail in _WORLD[f"{d} tails"] for stem in _WORLD["stems"]) for d in DIALECTS}
_TEMPLATES = {  # north, south; the part after the bar is what a question asks for
    "own": ("{p} had a {c} {t}|", "There kept {p} a {t} of {c}|"),
    "move": ("{p} took the {c} {t} to the {w}|", "To the {w} did {p} bear the {t} of {c}|"),
    "colour": ("The {t} of {p} was| {c}", "Of {p} the {t} it were| {c}"),
    "owner": ("The {c} {t} belonged to| {p}", "The {t} of {c} it were held by| {p}"),
    "place": ("{p} and the {c} {t} were at the| {w}", "There bideth {p} with the {t} of {c} by the| {w}"),
    "land": ("{p} knew that {v} lies in| {a}", "Full well {p} did know {v} for a village of| {a}"),
    "good": ("{p} went to {v} to buy| {a}", "For {v} {p} made and got there| {a}"),
    "sound": ("{p} heard how the {v} began to| {a}", "There listened {p} to the {v} and it did| {a}"),
    "tool": ("{p} met the {v} who carried the| {a}", "A {v} came by {p} and bore the| {a}"),
    "self": ("{s} near {x}| {be} {m} of {pronoun}", "{s} hard by {x}| {be} {m} in {pronoun}"),
    "number": ("{s} near {x}| {be} {m} and {too} sold", "{s} hard by {x}| {be} {m} yet {too} sold"),
}


@dataclass(frozen=True)
class Document:
    """One story of 150 to 200 words; its group is the dialect."""

    document: str
    text: str
    groups: Mapping[str, str]


@dataclass(frozen=True)
class ChoiceItem:
    """A story up to the words before the answer, four answers that begin with a space, the right one's index."""

    item: str
    context: str
    choices: tuple[str, ...]
    gold: int
    groups: Mapping[str, str]


class _Sentence(NamedTuple):
    lead: str
    end: str
    wrong: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        return f"{self.lead}{self.end}."


class _Dice:
    """Draws that rest on `random.Random.random` only."""

    def __init__(self, *seed: str | int) -> None:
        self.uniform = random.Random(int.from_bytes(_hash(*seed)[:8], "big")).random

    def below(self, n: int) -> int:
        return int(self.uniform() * n)

    def pick(self, pool: Sequence[T]) -> T:
        return pool[self.below(len(pool))]

    def shuffled(self, pool: Sequence[T]) -> list[T]:
        rest = list(pool)
        return [rest.pop(self.below(len(rest))) for _ in pool]


def _hash(*parts: str | int) -> bytes:
    return hashlib.sha256("|".join(map(str, parts)).encode()).digest()


@cache
def _held_out(*combination: str) -> bool:
    """Whether sentences that tell this combination of words belong to the test side."""
    return _hash("side", *combination)[0] % _TEST_IN == 0


def _facts(kind: str, dialect: str) -> dict[str, str]:
    """What is true in this world: land and goods of each village, sound of each animal, tool of each trade."""
    if kind == "sound":
        return dict(zip(_WORLD["animals"], _WORLD[f"{dialect} sounds"], strict=True))
    if kind == "tool":
        return dict(zip(_WORLD["trades"], _WORLD["crafts"], strict=True))
    answers = _WORLD["lands" if kind == "land" else "goods"]
    return {village: answers[_hash(kind, village)[0] % len(answers)] for village in _VILLAGES[dialect]}


_FACTS = {(kind, dialect): _facts(kind, dialect) for kind in SKILLS["fact"] for dialect in DIALECTS}


class _Story:
    """The state of one story and the sentences that can be told of it."""

    def __init__(self, dice: _Dice, dialect: str, *, test: bool, skewed: bool = True) -> None:
        self.dice, self.dialect, self.test, self.skewed = dice, dialect, test, skewed
        self.owned: dict[str, tuple[str, str]] = {}
        self.at: dict[str, str] = {}
        self.said = ""
        self.told: set[str] = set()

    def introduction(self) -> list[_Sentence]:
        """One or two people and their things, of different colours."""
        colours, things = self.dice.shuffled(_WORLD["colours"]), self.dice.shuffled(_WORLD["things"])
        owners = 1 + self.dice.below(2)
        while len(self.owned) < owners:
            colour, thing = colours[len(self.owned)], things[len(self.owned)]
            if person := self._fitting(_PEOPLE, colour, thing, but=self.owned):
                self.owned[person] = (colour, thing)
        return [self._say("own", p=p, c=c, t=t) for p, (c, t) in self.owned.items()]

    def tell(self) -> _Sentence:
        """Some sentence that can be told now."""
        return self.ask(self.dice.pick(_PLAN)) or self.tell()

    def ask(self, kind: str) -> _Sentence | None:
        """A sentence of this kind, or ``None`` if the story so far and its side allow none."""
        if kind in SKILLS["fact"]:
            return self._world(kind)
        if kind in SKILLS["agreement"]:
            return self._grammar(kind)
        return self._recall(kind, self.dice.pick(list(self.owned)))

    def _recall(self, kind: str, person: str) -> _Sentence | None:
        colour, thing = self.owned[person]
        if kind == "move" and (place := self._fitting(_WORLD["places"], person, thing, but=self.at.values())):
            self.at[person] = place
            return self._say(kind, p=person, c=colour, t=thing, w=place)
        words = {"p": person, "c": colour, "t": thing, "w": self.at.get(person, "")}
        told = f"{kind} {person} {words['w'] if kind == 'place' else ''}"
        if kind == "move" or told in self.told or (kind == "place" and person not in self.at):
            return None
        self.told.add(told)
        slot, pool = {"colour": ("c", _WORLD["colours"]), "owner": ("p", _PEOPLE), "place": ("w", _WORLD["places"])}[
            kind
        ]
        return self._say(kind, [{slot: wrong} for wrong in self._wrong(words[slot], pool)], **words)

    def _world(self, kind: str) -> _Sentence | None:
        facts, u = _FACTS[kind, self.dialect], self.dice.uniform()
        subject = list(facts)[int(len(facts) * (u * u * u if self.skewed and kind in {"land", "good"} else u))]
        person = self._fitting(_PEOPLE, kind, subject)
        if person is None or subject in self.told:
            return None
        self.told.add(subject)
        wrong = self._wrong(facts[subject], sorted(set(facts.values())))
        return self._say(kind, [{"a": answer} for answer in wrong], p=person, v=subject, a=facts[subject])

    def _grammar(self, kind: str) -> _Sentence | None:
        one, many, *crowds = _WORLD[f"{self.dialect} numbers"]
        if kind == "self":
            animals = tuple(f"the {animal}" for animal in _WORLD["animals"])
            sorts = (_WORLD["men"], _WORLD["women"], animals, crowds)
            right, other = self.dice.shuffled(range(N_CHOICES))[:2]
            subject, near = self.dice.pick(sorts[right]), self.dice.pick(sorts[other])
            pronouns = zip((one, one, one, many), _WORLD[f"{self.dialect} selves"], strict=True)
            ends = [{"be": verb, "pronoun": pronoun} for verb, pronoun in pronouns]
        else:
            right, (thing, second) = self.dice.pick((0, N_CHOICES - 1)), self.dice.shuffled(_WORLD["things"])[:2]
            subject, near = (f"the {thing}", f"the {second}s") if right == 0 else (f"the {thing}s", f"the {second}")
            ends = [{"be": verb, "too": too} for verb in (one, many) for too in (one, many)]
        mood = self._fitting(_WORLD["moods" if kind == "self" else "states"], subject, near)
        subject, rest = subject[0].upper() + subject[1:], ends[:right] + ends[right + 1 :]
        return self._say(kind, rest, s=subject, x=near, m=mood, **ends[right]) if mood else None

    def _fitting(self, pool: Sequence[str], *others: str, but: Collection[str] = ()) -> str | None:
        """One of the pool whose combination with the other words belongs to this story's side."""
        fitting = [word for word in pool if word not in but and _held_out(word, *others) == self.test]
        return self.dice.pick(fitting) if fitting else None

    def _wrong(self, right: str, pool: Sequence[str]) -> list[str]:
        """Three wrong answers, those that the story has mentioned first."""
        wrong = [word for word in self.dice.shuffled(pool) if word != right]
        return sorted(wrong, key=lambda word: word not in self.said)[: N_CHOICES - 1]

    def _say(self, kind: str, wrong: Sequence[Mapping[str, str]] = (), **words: str) -> _Sentence:
        lead, end = _TEMPLATES[kind][DIALECTS.index(self.dialect)].split("|")
        first = lead.format(**words)
        if self.dice.uniform() < _CONNECTED:
            first = first if first.startswith(_PEOPLE) else first[0].lower() + first[1:]
            first = f"{self.dice.pick(_WORLD[f'{self.dialect} links'])}, {first}"
        self.said += first + end.format(**words)
        return _Sentence(first, end.format(**words), tuple(end.format(**{**words, **change}) for change in wrong))


def _document(name: str, dice: _Dice, dialect: str, *, test: bool) -> Document:
    story = _Story(dice, dialect, test=test)
    texts = [sentence.text for sentence in story.introduction()]
    words = _WORDS[0] + dice.below(_WORDS[1] - _WORDS[0])
    while len(" ".join(texts).split()) < words:
        texts.append(story.tell().text)
    return Document(name, " ".join(texts), {"dialect": dialect})


def training_documents(n: int, seed: int) -> list[Document]:
    """The first n stories of the training side; about a sixth is in the southern dialect."""
    dice = _Dice("train", VERSION, seed)
    dialects = [DIALECTS[int(dice.uniform() < _SOUTH_SHARE)] for _ in range(n)]
    return [_document(f"train-{seed}-{i:06d}", dice, dialect, test=False) for i, dialect in enumerate(dialects)]


def test_documents() -> list[Document]:
    """The stories to predict: of the test side, both dialects equally often, always the same."""
    dice = _Dice("documents", VERSION)
    return [_document(f"story-{i:04d}", dice, DIALECTS[i % 2], test=True) for i in range(N_DOCUMENTS)]


def choice_items() -> list[ChoiceItem]:
    """The questions: the test side, both dialects and all four positions of the right answer equally often."""
    dice = _Dice("items", VERSION)
    asked = [
        (DIALECTS[i % 2], skill, SKILLS[skill][i // 2 % len(SKILLS[skill])])
        for skill, count in N_ITEMS.items()
        for i in range(count)
    ]
    golds, asked = dice.shuffled([i % N_CHOICES for i in range(len(asked))]), dice.shuffled(asked)
    return [_item(f"choice-{i:04d}", dice, asked[i], golds[i]) for i in range(len(asked))]


def _item(name: str, dice: _Dice, spec: tuple[str, str, str], gold: int) -> ChoiceItem:
    dialect, skill, kind = spec
    while True:
        story = _Story(dice, dialect, test=True, skewed=False)
        before = story.introduction() + [story.tell() for _ in range(_BEFORE[0] + dice.below(_BEFORE[1] - _BEFORE[0]))]
        if question := story.ask(kind):
            break
    choices = dice.shuffled(question.wrong)
    choices.insert(gold, question.end)
    context = " ".join([sentence.text for sentence in before] + [question.lead])
    return ChoiceItem(name, context, tuple(choices), gold, {"dialect": dialect, "skill": skill})


def digest(parts: Sequence[Document] | Sequence[ChoiceItem]) -> str:
    """sha256 of the canonical JSON (sorted keys, no spaces, UTF-8) of documents or items."""
    canonical = json.dumps([asdict(p) for p in parts], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()
