from pathlib import Path

import numpy as np
import pytest

from kinetag.errors import KinetagError
from kinetag.exercises.gallery import families, page, sheet, write_gallery
from kinetag.exercises.library import load_library

DOCS = Path(__file__).parents[1] / "docs"
LIBRARY = load_library()


def test_the_page_agrees_with_the_library():
    told = (DOCS / "library.md").read_text(encoding="utf-8")
    assert told == page(LIBRARY), "run python -m kinetag.exercises.gallery docs"


def test_every_family_has_its_picture_and_they_are_small():
    pictures = {path.stem: path.stat().st_size for path in (DOCS / "library").iterdir()}
    assert set(pictures) == set(families(LIBRARY))
    assert sum(pictures.values()) < 3_000_000


def test_every_exercise_is_in_one_family():
    told = [exercise.name for group in families(LIBRARY).values() for exercise in group]
    assert sorted(told) == sorted(LIBRARY)


def test_a_sheet_shows_the_exercise():
    image = sheet([LIBRARY["squat"]])
    assert image.shape[1:] == (1000, 3)
    assert image.dtype == np.uint8
    assert np.unique(image[:, :250].reshape(-1, 3), axis=0).shape[0] > 1000
    assert (image[:, 900:] == 255).all(), "nothing beside it"


def test_the_page_is_written_and_an_unknown_family_refused(tmp_path):
    write_gallery(tmp_path, pictures=False)
    assert (tmp_path / "library.md").read_text(encoding="utf-8") == page(LIBRARY)
    with pytest.raises(KinetagError, match="no family 'leg'; known: arms"):
        write_gallery(tmp_path, pictures=True, only=["leg"])
