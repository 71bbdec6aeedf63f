"""What a segmentation is worth: pure functions from two label maps of a case (or probabilities, or raters) to numbers.

    case           the two maps, checked, cropped to the foreground and padded: what every other module reads
    overlap        counts -> Dice, IoU, precision, recall, specificity, MCC, accuracy, volume error
    surface        voxel borders and surfels with areas; nearest: distances between them
    distance       HD, HD95 in two conventions, ASSD, MASD, NSD
    policy         what a value is when the reference, the prediction or both are empty
    topology       clDice, Betti numbers and their errors; betti_matching: Betti matching error
    instances      PQ, F1, recall by volume; lesions: BraTS lesion-wise Dice; froc: FROC and CPM
    raters         generalised energy distance, Hungarian IoU, Dice to the majority
    calibration    ECE in three scopes and in the boundary band, Brier score, NLL
    uscore         U-Score, and a score in bits beside it

NumPy and SciPy only; scikit-image where a skeleton, an Euler number or marching-cubes triangles are needed. No torch.
"""
