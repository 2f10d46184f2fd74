"""How an answer is called wherever somebody reads it: what is sure is said, and no more."""

OTHER = "other"
TOO_SHORT = "too short to tell"  # what 'other' is called where not even one window could be looked at
UNNAMED = (OTHER, TOO_SHORT)  # names of what is no exercise
SURE = 0.5  # confidence from which a label, or a kind of exercise, is said to be so

# What an exercise of a family is called when it is not clear which one it is.
_KINDS = {
    "legs": "leg exercise", "hinge": "hip hinge", "push": "pressing movement", "pull": "pulling movement",
    "arms": "arm exercise", "shoulders": "shoulder exercise", "core": "exercise of the trunk", "hips": "hip exercise",
    "cardio": "cardio exercise", "yoga": "yoga pose", "everyday": "everyday posture", "balance": "balance exercise",
    "back": "back exercise", "flexibility": "stretch", "full_body": "full-body exercise",
}  # fmt: skip


def readable(label: str) -> str:
    """'push_up' -> 'push up'."""
    return label.replace("_", " ")


def is_doubtful(label: str | None, confidence: float) -> bool:
    """Whether a label is a guess. 'other' never is: it rejects, and names nothing that could be wrong."""
    return label is not None and label != OTHER and confidence < SURE


def called(
    label: str, confidence: float, family: str = "", family_confidence: float = 0.0, variant: str = ""
) -> tuple[str, float]:
    """What is said of an answer, and how sure just that is.

    'squat (sumo)' where the label is sure, 'some pulling movement' where only the kind of exercise is, 'bench press?'
    where neither is, and 'other' where no exercise is meant, or too little was seen to tell.
    """
    if label == OTHER and confidence == 0:
        return TOO_SHORT, 0.0
    if label != OTHER and not is_doubtful(label, confidence):
        return readable(label) + (f" ({readable(variant)})" if variant else ""), confidence
    if family and family_confidence >= SURE:
        return f"some {_KINDS.get(family, f'{readable(family)} exercise')}", family_confidence
    return readable(label) + ("" if label == OTHER else "?"), confidence
