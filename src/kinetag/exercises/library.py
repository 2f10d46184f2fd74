"""The exercise library: what an exercise file may say, and reading the files.

An exercise is a short YAML file. Angles are degrees in anatomical terms; a value is a number, or ``[low, high]`` for
what differs from one person to the next. docs/exercises.md explains every key; the files in ``library/`` are examples.
"""

from collections.abc import Iterable, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, get_args

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from kinetag.alignment import ALIGNMENT
from kinetag.angles import ANGLES, HEIGHTS, TURNS, WIDTHS
from kinetag.errors import KinetagError
from kinetag.exercises.values import LookAlikes, Name, Positive, Range, Weights, as_range, as_weights, rising
from kinetag.exercises.yaml_file import MisplacedError, line_of, nearest, read_models
from kinetag.timeline import OTHER

FORM_SIGNALS = (*ANGLES, *TURNS, *HEIGHTS, *WIDTHS, *ALIGNMENT)  # by which a fault can be told

FOLDER = Path(__file__).parent / "library"
ARM_STYLES = "arm_styles.yaml"

Side = Literal["both", "alternating", "one", "seesaw"]
Held = Literal["dumbbells", "dumbbell", "barbell", "kettlebell", "rope", "cable_bar"]
Fixture = Literal["bar", "bars", "bench", "seat", "box", "wall", "mat"]
HELD: tuple[str, ...] = get_args(Held)


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Limbs(_Model):
    """Angles of arms and legs, degrees; what is not said stays as in the base pose.

    Angles named after a segment (``thigh``, ``shin``, ``upper_arm``) are against the vertical, those named after a
    joint (``hip``, ``knee``, ``shoulder``, ``elbow``) between two segments. Give one of thigh and hip, one of knee and
    shin, one of shoulder and upper_arm.
    """

    thigh: Range | None = Field(default=None, description="Thigh from straight down, forward positive; 90 level.")
    hip: Range | None = Field(default=None, description="Hip flexion, between trunk and thigh; 0 is straight.")
    abduction: Range | None = Field(default=None, description="Thigh to the side, outwards positive.")
    hip_rotation: Range | None = Field(default=None, description="Hip rotation, outwards positive; turns the toes out.")
    knee: Range | None = Field(default=None, description="Knee flexion; 0 is straight.")
    shin: Range | None = Field(default=None, description="Shin from the vertical, knee before the ankle positive.")
    heel: Range | None = Field(default=None, description="Foot that bears: lift of the heel. In the air: toes pointed.")
    contact: Range | None = Field(default=None, description="1: this foot bears, 0: it is in the air.")
    step: Range | None = Field(
        default=None, description="Height of what this foot stands on, in hundredths of the body's height."
    )
    shoulder: Range | None = Field(
        default=None, description="Arm from along the trunk; 90 at right angles, 180 overhead."
    )
    upper_arm: Range | None = Field(default=None, description="Upper arm from straight down, in space; 0 hangs down.")
    plane: Range | None = Field(default=None, description="Where the arm is raised: 0 to the front, 90 to the side.")
    rotation: Range | None = Field(default=None, description="Shoulder rotation, outwards positive.")
    elbow: Range | None = Field(default=None, description="Elbow flexion; 0 is straight.")
    shrug: Range | None = Field(default=None, description="Shoulder blade raised.")
    hand_contact: Range | None = Field(
        default=None, description="On hands and feet or knees: 1: this hand bears, 0: it is in the air."
    )

    @model_validator(mode="after")
    def _one_of_each(self) -> "Limbs":
        for a, b in (("thigh", "hip"), ("knee", "shin"), ("shoulder", "upper_arm")):
            if getattr(self, a) is not None and getattr(self, b) is not None:
                raise ValueError(f"give either '{a}' or '{b}', not both")
        return self

    @property
    def given(self) -> dict[str, tuple[float, float]]:
        """The angles that this pose says something about."""
        return {name: getattr(self, name) for name in Limbs.model_fields if getattr(self, name) is not None}


class Pose(Limbs):
    """One key pose: the body's angles (degrees), the limbs' for both sides, and what differs left and right."""

    trunk: Range | None = Field(default=None, description="Trunk from upright, forward positive; -90 on the back.")
    spine: Range | None = Field(default=None, description="Upper back rounded, forward positive.")
    twist: Range | None = Field(default=None, description="Shoulders turned against the hips, to the left positive.")
    side_bend: Range | None = Field(default=None, description="Trunk bent to the left positive.")
    neck: Range | None = Field(default=None, description="Chin towards the chest positive.")
    look: Range | None = Field(default=None, description="Head turned to the left positive.")
    turn: Range | None = Field(default=None, description="Whole body turned to the left positive.")
    roll: Range | None = Field(
        default=None, description="Whole body tipped over to the left positive; 90 lies on the side."
    )
    lift: Range | None = Field(default=None, description="Off the floor, in hundredths of the body's height.")
    shift: Range | None = Field(default=None, description="Hips moved to the left, in hundredths of the body's height.")
    left: Limbs = Limbs()
    right: Limbs = Limbs()

    @property
    def given(self) -> dict[str, tuple[float, float]]:
        skip = ("left", "right")
        return {n: getattr(self, n) for n in Pose.model_fields if n not in skip and getattr(self, n) is not None}


class ArmStyle(_Model):
    """What the arms do in an exercise of the legs or the trunk: in the first pose, and in the others if different."""

    description: str = ""
    rest: Pose
    moved: Pose | None = None
    equipment: list[Held] = Field(default=[], description="What arms like this hold.")


class Support(_Model):
    """What the body rests on, and so what stays where it is.

    On the 'ground' it touches with whatever is lowest; on 'both_ends' it tips until head or arms and legs both touch
    (as far as ``hand_contact`` says that the hands bear); on 'shoulders' the shoulders stay at the height ``surface``.
    ``feet`` is 'fixed' when both feet (or one, by ``contact``) stay in place, 'stepping' when the foot that bears stays
    and the body travels over it, 'in_place' when they step but the body stays, 'free' when they touch nothing.
    Heights are in metres; ``hand_width`` is the distance of each hand from the middle in half shoulder widths;
    ``hand_ahead`` how far the hands are towards the head from below the shoulders, in arm lengths.
    """

    by: Literal["feet", "hands", "hands_and_feet", "hands_and_knees", "seat", "back", "shoulders", "ground",
                "both_ends"] = "feet"  # fmt: skip
    feet: Literal["fixed", "stepping", "in_place", "free"] | None = None
    surface: Range = Field(default=(0, 0), description="Height of bench or floor under a back that lies on it, metres.")
    hand_height: Range = Field(default=(0, 0), description="Height of what the hands are on, metres.")
    foot_height: Range = Field(default=(0, 0), description="Height of what the feet are on, metres.")
    hand_width: Range = (1.0, 1.6)
    hand_ahead: Range = (-0.05, 0.1)
    elbows: bool = Field(default=False, description="The forearms lie on the support, not only the hands.")
    leans: bool = Field(default=False, description="More than the feet holds the body up: a wall, a hand on a bench.")


class Tempo(_Model):
    """``period``: seconds a repetition. ``hold``: share of it spent in a pose, by pose name. ``move``: relative time to
    reach a pose, by pose name (1 if not given). ``flight``: whether the legs move on in the air, as in running, or are
    still from taking off to landing."""

    period: Annotated[tuple[Positive, Positive], BeforeValidator(as_range), AfterValidator(rising)]
    hold: dict[str, Range] = {}
    move: dict[str, Range] = {}
    flight: Literal["moving", "still"] = "moving"


class Counting(_Model):
    """What a repetition is counted by: a name of `angles.signals` without its side, and its usual values.

    ``rest`` and ``peak`` are the signal's values at rest and at the turning point; ``sides``: 'both' move as one,
    'either' may move, or they 'alternate'; a repetition takes ``min_period`` to ``max_period`` seconds.
    """

    signal: Literal["elbow", "shoulder", "hip", "knee", "ankle", "across", "trunk", "twist", "lean", "hip_height",
                    "wrist_height", "shoulder_height", "knee_height", "ankle_height", "stance", "step"]  # fmt: skip
    rest: float
    peak: float
    sides: Literal["both", "either", "alternate"] = "both"
    min_period: Positive
    max_period: Positive
    concentric: Literal["there", "back"] | None = Field(
        default=None, description="The way that goes against the load: to the turning point, or back from it."
    )

    @model_validator(mode="after")
    def _sane(self) -> "Counting":
        if self.rest == self.peak:
            raise ValueError(f"rest and peak are both {self.rest:g}; a repetition must change the signal")
        if self.min_period >= self.max_period:
            raise ValueError(f"min_period {self.min_period:g} is not below max_period {self.max_period:g}")
        return self


class Fault(_Model):
    """A typical mistake: a signal that goes ``above`` or ``below`` a limit.

    ``angle`` is a name of `alignment.form_signals` without its side; where both sides are seen, the better one must be
    beyond the limit. A turning point or a rest is a moment of each repetition; 'whole' is most of it (of a held pose:
    most of each second), 'range' how much the signal changes in it. It is judged only where it can be seen: with
    ``view`` 'front' from the front or back; else heights from anywhere, joint angles in trustworthy world points or
    where their bones lie in the plane of the picture, all else from the side.
    """

    description: str
    angle: str
    above: float | None = None
    below: float | None = None
    at: Literal["peak", "rest", "whole", "range"] = "peak"
    view: Literal["side", "front"] = "side"
    both: bool = Field(default=False, description="Both sides do it at that moment, so that one that is seen tells it.")

    @model_validator(mode="after")
    def _one_limit(self) -> "Fault":
        if (self.above is None) == (self.below is None):
            raise ValueError("a fault needs either 'above' or 'below'")
        known = {name.removeprefix("left_") for name in FORM_SIGNALS if not name.startswith("right_")}
        if self.angle not in known:
            _must_know(self.angle, sorted(known), "angle", "angle")
        return self


class _Parts(_Model):
    """What an exercise says and a variant may say otherwise."""

    support: Annotated[Support | None, BeforeValidator(lambda v: {"by": v} if isinstance(v, str) else v)] = None
    base: Pose = Pose()
    poses: dict[Name, Pose] = {}
    order: list[str] | None = None
    sides: Annotated[dict[Side, float] | None, BeforeValidator(as_weights)] = None
    arms: Weights | None = None
    tempo: Tempo | None = None
    depth: Range | None = Field(default=None, description="Share of the way that partial repetitions go.")
    equipment: list[Held | Fixture] | None = Field(default=None, description="What is held, and what stands there.")


class Variant(_Parts):
    """Another way to do the same: only what differs. ``weight`` is how common it is (the plain one has 1)."""

    name: Name
    weight: Annotated[float, Field(gt=0, le=100)] = 1.0
    counted: bool = Field(default=True, description="Whether the counting signal shows its repetitions.")


class Exercise(_Parts):
    """One exercise or pose: what the classifier learns, the counter counts and the mannequin shows."""

    name: Name
    title: str = Field(default="", max_length=80, description="As people write it; from the name if not given.")
    synonyms: list[str] = []
    family: Name = "other"
    description: str = ""
    weight: Annotated[float, Field(ge=0, le=100)] = 1.0
    frequency: Annotated[float, Field(gt=0, le=100)] = Field(
        default=1.0, description="How common it is among people who exercise: a rare one must be clearer to be named."
    )
    min_duration: Positive = 1.5
    peak: str | None = Field(
        default=None, description="The pose that is the turning point; the second in order if not given."
    )
    counting: Counting | None = None
    counted: bool = Field(default=True, description="False for what nobody counts, such as fidgeting.")
    norms: dict[str, Range] = {}
    faults: dict[Name, Fault] = {}
    looks_like: LookAlikes = {}
    variants: list[Variant] = []

    @property
    def static(self) -> bool:
        """Whether it is held rather than repeated."""
        return len(self.poses) == 1

    @property
    def is_counted(self) -> bool:
        """Whether it has repetitions: by its rule, or, where it gives none, by its strongest periodic movement."""
        return self.counting is not None or (self.counted and not self.static)

    @property
    def symmetric(self) -> bool:
        """Whether left and right are meant to do the same at the same time."""
        both = self.sides is None or "both" in self.sides
        return both and not any(pose.left.given or pose.right.given for pose in (self.base, *self.poses.values()))

    @cached_property
    def styles(self) -> dict[str, ArmStyle]:
        """The arm styles that its variants may name."""
        return load_arm_styles()

    @model_validator(mode="before")
    @classmethod
    def _with_title(cls, data: Any) -> Any:
        if isinstance(data, dict) and not data.get("title") and isinstance(data.get("name"), str):
            return {**data, "title": data["name"].replace("_", " ").capitalize()}
        return data

    @model_validator(mode="after")
    def _names_exist(self) -> "Exercise":
        if not self.poses:
            raise ValueError("an exercise needs at least one pose")
        self._check(self)
        for i, variant in enumerate(self.variants):
            self._check(variant, "variants", i)
            if variant.name in ("plain", *(before.name for before in self.variants[:i])):
                taken = "the form without a variant" if variant.name == "plain" else "another variant"
                raise MisplacedError(f"'{variant.name}' is {taken} already; choose another name", "variants", i, "name")
        if self.peak is not None:
            _must_know(self.peak, self.poses, "pose", "peak")
        if not self.static and self.tempo is None:
            raise ValueError("an exercise of several poses needs a tempo, for example tempo: {period: [1.5, 4]}")
        return self

    def _check(self, part: "_Parts", *at: str | int) -> None:
        """Whether the poses and arm styles that the exercise or its variant (at ``at`` in the file) names are there."""
        poses = {**self.poses, **part.poses}
        for name in part.order or ():
            _must_know(name, poses, "pose", *at, "order", name)
        for key in ("hold", "move"):
            for name in getattr(part.tempo, key, ()):
                _must_know(name, poses, "pose", *at, "tempo", key, name)
        for name in part.arms or ():
            _must_know(name, self.styles, "arm style", *at, "arms", name)
        for name in part.poses:
            if name not in self.poses and name not in (part.order or ()):
                hint = f"{nearest(name, self.poses)}; a new one must be in the variant's 'order'"
                raise MisplacedError(f"unknown pose '{name}'{hint}", *at, "poses", name)

    def __hash__(self) -> int:
        return hash(self.name)


def _must_know(name: str, known: Iterable[str], kind: str, *where: str | int) -> None:
    if name not in known:
        raise MisplacedError(f"unknown {kind} '{name}'{nearest(name, known)}; known: {', '.join(known)}", *where)


@lru_cache(maxsize=1)
def load_arm_styles() -> dict[str, ArmStyle]:
    """The arm styles that exercises share."""
    styles = read_models(FOLDER / ARM_STYLES, None)[0]
    return {name: ArmStyle.model_validate(value) for name, value in styles.items()}


class Written(NamedTuple):
    """An exercise as it was read: its file, and which of the file's documents it is."""

    file: Path
    document: int
    exercise: Exercise


def load_library(extra: Sequence[Path] = ()) -> dict[str, Exercise]:
    """The exercises that ship with kinetag and those in ``extra`` (YAML files, or folders of them), by name.

    An extra exercise with the name of a shipped one takes its place. Raises a KinetagError with file, line and the
    nearest right key when a file is wrong.
    """
    return library_with([entry for path in extra for entry in read_written(Path(path))])


def library_with(own: Sequence[Written]) -> dict[str, Exercise]:
    """The same, for exercises that were read already."""
    library = {exercise.name: exercise for exercise in read_exercises(FOLDER)}
    library |= {exercise.name: exercise for _, _, exercise in own}
    for file, document, exercise in own:
        for other in exercise.looks_like:
            if other not in library and other not in (known := _look_alikes(library)):
                line = line_of(file, document, "looks_like", other)
                raise KinetagError(
                    f"{file}:{line}: looks_like: unknown exercise '{other}'{nearest(other, known)}; "
                    "name one that 'kinetag exercises' lists, or one of your own files"
                )
    return library


def read_written(path: Path) -> list[Written]:
    """Every exercise of a YAML file or folder, if each has a name of its own that an exercise may have."""
    entries = _entries(path)
    places: dict[str, tuple[Path, int]] = {}

    def told(file: Path, document: int) -> str:
        return f"{file}:{line_of(file, document, 'name')}"

    for file, document, exercise in entries:
        name, place = exercise.name, (file, document)
        if name == OTHER:
            raise KinetagError(f"{told(*place)}: '{OTHER}' means what is none of the exercises; choose another name")
        if name in places:
            first = told(*places[name])
            raise KinetagError(f"{told(*place)}: '{name}' is the name of {first} too; rename one or take it away")
        places[name] = place
    return entries


def _look_alikes(library: dict[str, Exercise]) -> list[str]:
    """What an exercise may look like: another one, or what teaches the classifier what 'other' is."""
    return [*library, *(exercise.name for exercise in read_exercises(FOLDER / OTHER))]


def read_exercises(path: Path) -> list[Exercise]:
    """All exercises of a YAML file (documents separated by ``---``) or of a folder of such files."""
    return [exercise for _, _, exercise in _entries(path)]


def exercise_files(path: Path) -> list[Path]:
    """The YAML files of a folder, or the one given. Raises KinetagError where there is none."""
    if not path.exists():
        raise KinetagError(f"no exercise file or folder at {path}")
    if not path.is_dir():
        return [path]
    files = sorted(file for file in path.glob("*.y*ml") if file.name != ARM_STYLES)
    if not files:
        raise KinetagError(f"no exercise (*.yaml) in the folder {path}")
    return files


def _entries(path: Path) -> list[Written]:
    return [
        Written(file, i, exercise)
        for file in exercise_files(path)
        for i, exercise in enumerate(read_models(file, Exercise))
    ]
