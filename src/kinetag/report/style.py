"""What all outputs share: colours, and how labels and times are written."""

from kinetag.timeline import OTHER, FormFault, Segment, Tempo

# Okabe and Ito's palette (https://jfly.uni-koeln.de/color/): distinct with any kind of colour vision. One a person.
PEOPLE = ("#56B4E9", "#E69F00", "#009E73", "#CC79A7", "#F0E442", "#D55E00", "#0072B2")

# Paul Tol's 'light' scheme (https://personal.sron.nl/~pault/): for filling cells that carry dark text. One a label.
LABELS = ("#77AADD", "#EE8866", "#44BB99", "#EEDD88", "#FFAABB", "#BBCC33", "#99DDFF", "#AAAA00")

Color = tuple[int, int, int]


def person_color(person: int) -> Color:
    """(red, green, blue) of a person's id, 1 and up."""
    code = PEOPLE[(person - 1) % len(PEOPLE)]
    return int(code[1:3], 16), int(code[3:5], 16), int(code[5:7], 16)


def readable(label: str) -> str:
    """'push_up' -> 'push up'."""
    return label.replace("_", " ")


# What an exercise of a family is called when it is not clear which one it is.
_KINDS = {
    "legs": "leg exercise", "hinge": "hip hinge", "push": "pressing movement", "pull": "pulling movement",
    "arms": "arm exercise", "shoulders": "shoulder exercise", "core": "exercise of the trunk", "hips": "hip exercise",
    "cardio": "cardio exercise", "yoga": "yoga pose", "everyday": "everyday posture", "balance": "balance exercise",
    "back": "back exercise", "flexibility": "stretch", "full_body": "full-body exercise",
}  # fmt: skip
_DOUBTFUL = 0.5  # confidence below which the kind is said beside the label


def doing(segment: Segment) -> str:
    """'squat (sumo)', 'bench press? (some pressing movement)' where that is much surer, 'some pulling movement'."""
    kind = f"some {_KINDS.get(segment.family, f'{readable(segment.family)} exercise')}" if segment.family else ""
    if segment.label == OTHER:
        return kind or readable(segment.label)
    if kind and segment.confidence < _DOUBTFUL < segment.family_confidence:
        return f"{readable(segment.label)}? ({kind})"
    return readable(segment.label) + (f" ({readable(segment.variant)})" if segment.variant else "")


def clock(seconds: float) -> str:
    """'0:04.2', '12:30.0', '1:02:03.5'."""
    tenths = max(0, round(seconds * 10))
    minutes, rest = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    seconds_part = f"{rest // 10:02d}.{rest % 10}"
    return f"{hours}:{minutes:02d}:{seconds_part}" if hours else f"{minutes}:{seconds_part}"


def fault_text(fault: FormFault) -> str:
    """'the hips sag: body line -24°, should not be below -15°; in 4 of 5, first at 0:07.2'."""
    unit = "" if fault.signal == "knee_gap" or fault.signal.endswith("_height") else "°"
    unit = "%" if fault.name == "uneven" else unit
    digits = 0 if unit else 2
    value = sorted(fault.values)[len(fault.values) // 2]
    way = "above" if fault.above else "below"
    return (
        f"{fault.description}: {readable(fault.signal)} {value:.{digits}f}{unit}, should not be {way} "
        f"{fault.limit:.{digits}f}{unit}; in {len(fault.times)} of {fault.judged}, first at {clock(fault.times[0])}"
    )


def tempo_text(tempo: Tempo) -> str:
    """'2.1-0.3-1.4-0.5': the way there, pause, the way back, rest; the rest is left out where nothing followed."""
    return "-".join(f"{seconds:.1f}" for seconds in tempo if seconds is not None)
