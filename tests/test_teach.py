"""Teaching, as a user meets it: files in, a profile out, and what is recognised with it."""

import re
import sys
from dataclasses import replace

import numpy as np
import pytest
from made_teaching import WRITTEN, embedding_model, salutes, squats, still
from test_classifier import seen

import kinetag
from kinetag import cli
from kinetag.classifier import DEFAULT_MODEL, Classifier
from kinetag.errors import KinetagError
from kinetag.exercises.library import load_library
from kinetag.few_shot import space
from kinetag.few_shot.evaluation import Evaluation, Score, evaluate
from kinetag.few_shot.made import PEOPLE, made_clips
from kinetag.few_shot.profile import load_profile, save_profile
from kinetag.few_shot.teach import remove, teach, update
from kinetag.pose.files import write_poses
from kinetag.report.teaching import scores_table


@pytest.fixture(scope="module", autouse=True)
def quick_space():
    """Fewer people of the library: all that is measured here is far from its limits."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(space, "_WINDOWS", 30)
        patch.setattr(space, "_MOTIONS", 4)
        patch.setattr(space, "_NEGATIVES", 5)
        yield


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    pytest.importorskip("onnx")
    return embedding_model(tmp_path_factory.mktemp("model") / "classifier.onnx")


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Three salutes, one more to test with, a pose that is held, and squats."""
    folder = tmp_path_factory.mktemp("clips")
    made = {f"salute_{i}": salutes(azimuth=a, period=p) for i, (a, p) in enumerate([(40, 1.6), (75, 2.0), (110, 1.8)])}
    made |= {"test": salutes(azimuth=60, period=1.7, count=8), "held": still(6.0), "squats": squats(count=5)}
    for name, poses in made.items():
        write_poses([poses], folder / f"{name}.json")
    return folder


@pytest.fixture(scope="module")
def taught(model, clips, tmp_path_factory):
    """A profile that knows the salute and the pose."""
    path = tmp_path_factory.mktemp("profile") / "mine.npz"
    teach("Salute", [clips / f"salute_{i}.json" for i in range(3)], path, model=model)
    teach("hands-up", [clips / "held.json"], path, model=model)
    return path


def test_a_taught_exercise_is_recognised_and_counted(taught, model, clips):
    timeline = kinetag.analyze(clips / "test.json", model=model, profile=taught)
    main = timeline.people[0].main_segment
    assert (main.label, main.repetition_count) == ("salute", 8)
    before = kinetag.analyze(clips / "test.json", model=model).people[0].main_segment
    assert before.label != "salute"


def test_a_taught_pose_is_recognised_and_not_counted(taught, model, clips):
    main = kinetag.analyze(clips / "held.json", model=model, profile=taught).people[0].main_segment
    assert (main.label, main.repetitions) == ("hands_up", [])


def test_what_the_library_knows_stays_known(taught, model, tmp_path):
    """The library's own squats, which the salute has a part of, whatever the classifier takes them for."""
    write_poses([seen("squat", seed=1, repetitions=5)], tmp_path / "squats.json")
    timelines = [kinetag.analyze(tmp_path / "squats.json", model=model, profile=profile) for profile in (None, taught)]
    before, after = (timeline.people[0].main_segment for timeline in timelines)
    assert (after.label, after.repetition_count) == (before.label, before.repetition_count)
    assert after.confidence > 0.7 * before.confidence


def test_probabilities_sum_to_1_and_name_what_was_taught(taught, model, clips):
    classifier, library, _ = kinetag.analyzer.known_exercises(model, (), taught)
    times, probabilities = classifier.predict(salutes())
    assert classifier.labels == (*Classifier.load(model).labels, "salute", "hands_up")
    assert probabilities.shape == (len(times), len(classifier.labels))
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    assert library["salute"].title == "Salute"
    nothing = classifier.predict(salutes().between(0, 0.1))
    assert nothing[1].shape == (0, len(classifier.labels))


def test_teaching_what_the_library_knows_replaces_it(model, clips, tmp_path):
    path = tmp_path / "mine.npz"
    teach("squat", [clips / "salute_0.json", clips / "salute_1.json"], path, model=model)
    classifier, *_ = kinetag.analyzer.known_exercises(model, (), path)
    assert classifier.labels == Classifier.load(model).labels
    main = kinetag.analyze(clips / "test.json", model=model, profile=path).people[0].main_segment
    assert (main.label, main.repetition_count) == ("squat", 8)
    own_way = teach("my squat", [clips / "squats.json"], tmp_path / "own.npz", model=model)
    assert own_way.repetitions == (5,)
    timeline = kinetag.analyze(clips / "squats.json", model=model, profile=tmp_path / "own.npz")
    assert timeline.people[0].main_segment.label == "my_squat"


def test_clips_are_added_and_what_was_taught_is_forgotten(model, clips, tmp_path):
    path = tmp_path / "mine.npz"
    assert len(teach("salute", [clips / "salute_0.json"], path, model=model).taught.clips) == 1
    lesson = teach("salute", [clips / "salute_1.json"], path, model=model)
    assert [clip.name for clip in lesson.taught.clips] == ["salute_0.json", "salute_1.json"]
    with pytest.raises(KinetagError, match=r"salute_0\.json is given twice, or was taught before"):
        teach("salute", [clips / "salute_0.json"], path, model=model)
    with pytest.raises(KinetagError, match=r"9 clips for 'salute': give 1 to 8; it has 2 already"):
        teach("salute", [clips / "salute_2.json"] * 9, path, model=model)
    with pytest.raises(KinetagError, match="has no 'wave'; it has: salute"):
        remove("wave", path, model=model)
    assert remove("salute", path, model=model).exercises == {}
    main = kinetag.analyze(clips / "test.json", model=model, profile=path).people[0].main_segment
    assert main.label != "salute"


def test_another_classifier_is_refused_until_the_profile_is_updated(taught, model, clips, tmp_path):
    other = tmp_path / "other.onnx"
    other.write_bytes(model.read_bytes())
    onnx = pytest.importorskip("onnx")
    proto = onnx.load(str(other))
    proto.doc_string = "another file"
    onnx.save(proto, str(other))
    path = tmp_path / "mine.npz"
    path.write_bytes(taught.read_bytes())
    with pytest.raises(KinetagError, match=r"another classifier .* kinetag teach --update --profile"):
        kinetag.analyze(clips / "test.json", model=other, profile=path)
    update(path, model=other)
    main = kinetag.analyze(clips / "test.json", model=other, profile=path).people[0].main_segment
    assert (main.label, main.repetition_count) == ("salute", 8)


def test_a_classifier_without_an_embedding_is_refused(clips, tmp_path):
    onnx = pytest.importorskip("onnx")
    proto = onnx.load(str(DEFAULT_MODEL))
    del proto.graph.output[1:]
    onnx.save(proto, str(tmp_path / "plain.onnx"))
    with pytest.raises(KinetagError, match="this classifier has no embedding"):
        teach("salute", [clips / "test.json"], tmp_path / "mine.npz", model=tmp_path / "plain.onnx")
    assert not (tmp_path / "mine.npz").exists()


def test_no_picture_is_kept(taught):
    """What is in the file: numbers of poses and of the space, nothing the size of a picture."""
    with np.load(taught) as file:
        names = {re.sub(r"_\d+$", "", name) for name in file.files}
    assert names <= {
        "about", "biases", "taught", "mean", "whitening", "prototypes", "prototype_labels", "negatives",
        "negative_labels", "times", "centre", "keypoints", "confidence", "world",
    }  # fmt: skip
    assert len(load_profile(taught).exercises) == 2


def test_the_command_line(model, clips, tmp_path, capsys):
    path = tmp_path / "mine.npz"
    given = ["--profile", str(path), "--model", str(model)]
    files = [str(clips / f"salute_{i}.json") for i in range(3)]
    assert cli.main(["teach", "Salute", *files, *given]) == 0
    said = capsys.readouterr().out
    assert "salute  counted by: elbow" in said
    assert re.search(r"salute_1\.json .* 5 *\n", said)
    assert f"kinetag analyze VIDEO --profile {path}" in " ".join(said.split())
    assert cli.main(["teach", "--list", *given]) == 0
    assert re.search(r"salute +3 ", capsys.readouterr().out)
    assert cli.main(["teach", "--evaluate", *given]) == 0
    said = capsys.readouterr().out
    assert re.search(r"salute +3 +(100|9\d)%", said)
    assert "Each clip was left out by itself" in " ".join(said.split())
    assert cli.main(["analyze", str(clips / "test.json"), "--format", "csv", *given]) == 0
    assert ",salute," in capsys.readouterr().out
    assert cli.main(["teach", "--remove", "salute", *given]) == 0
    assert "forgot 'salute'; left: nothing" in capsys.readouterr().out
    assert cli.main(["teach", "--evaluate", *given]) == 2
    assert "nothing is taught yet" in capsys.readouterr().err


def test_clips_of_different_exercises_are_warned_of(model, tmp_path, capsys):
    files = {name: str(tmp_path / f"{name}.json") for name in ("push_up", "biceps_curl")}
    for name, file in files.items():
        write_poses([seen(name, seed=1, repetitions=4)], file)
    options = ["--profile", str(tmp_path / "mine.npz"), "--model", str(model), "--quiet"]
    assert cli.main(["teach", "my move", *files.values(), *options]) == 0
    line = "the library takes push_up.json for push up, biceps_curl.json for biceps curl: are all of them my move?"
    assert f"warning: {line}" in capsys.readouterr().err
    assert teach("one", [files["push_up"]], tmp_path / "one.npz", model=model).doubts == ()
    again = teach("one", [files["biceps_curl"]], tmp_path / "one.npz", model=model)
    assert again.doubts == (line.replace("my move", "one"),)  # what was taught before counts too


def test_a_clip_that_shows_nothing_is_left_out_and_the_others_are_learned(model, clips, tmp_path, capsys):
    path, short, idle = tmp_path / "mine.npz", tmp_path / "short.json", clips / "held.json"
    write_poses([salutes().between(0, 0.5)], short)
    given = ["--profile", str(path), "--model", str(model)]
    files = [str(clips / f"salute_{i}.json") for i in range(2)]
    assert cli.main(["teach", "Salute", str(short), files[0], str(idle), files[1], *given]) == 0
    out, err = capsys.readouterr()
    assert "short.json" not in out
    assert err.splitlines() == [
        "warning: left out short.json: somebody is seen for 0.5 s only, too short: 1 s are needed; "
        "take a longer piece of it, best with two or more repetitions",
        "warning: left out held.json: person 1 makes no whole repetition in it (by the elbow), but the other clips "
        "move; choose another --person, or film it again",
    ]
    assert [clip.name for clip in load_profile(path).exercises["salute"].clips] == ["salute_0.json", "salute_1.json"]
    before = path.read_bytes()
    assert cli.main(["teach", "Salute", str(short), str(idle), *given]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: none of the 2 clips can be learned from: short.json: ")
    assert " / held.json: " in error
    assert error.count("\n") == 1
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "teach what?"),
        (["salute"], "no clips for 'salute'"),
        (["other", "x.json"], "'other' is what none of the exercises is"),
        (["../up", "x.json"], "cannot be the name"),
        (["salute", *["x.json"] * 11], "11 clips for 'salute': give 1 to 10; --finetune takes up to 200"),
        (["salute", *["x.json"] * 201, "--finetune"], "201 clips for 'salute': give 1 to 200\n"),
        (["salute", "nothing.json"], "no such file or folder: nothing.json"),
        (["salute", "nothing.mp4"], "nothing.mp4"),
        (["salute", "nothing.yaml"], "no exercise file or folder at nothing.yaml"),
        (["--list"], "no profile at"),
        (["--list", "--update"], "goes with --profile alone"),
        (["salute", "x.json", "--persn", "1"], "did you mean '--person'"),
    ],
    ids=lambda value: " ".join(value[:3]) if isinstance(value, list) else "",
)
def test_mistakes_are_told_in_one_line(words, said, model, tmp_path, capsys):
    extra = ["--profile", str(tmp_path / "p.npz"), "--model", str(model)] if "--persn" not in words else []
    assert cli.main(["teach", *words, *extra]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert not (tmp_path / "p.npz").exists()


def test_finetuning_takes_more_clips_and_those_that_are_added_later(taught, model, tmp_path, monkeypatch):
    pytest.importorskip("torch")
    measured, trained = load_profile(taught).space, []

    def training(profile, seen):
        """In place of the real one, which test_few_shot_profile.py looks at."""
        trained.append([len(clips) for clips in seen])
        return replace(profile, finetuned=True)

    monkeypatch.setattr("kinetag.few_shot.teach.build_space", lambda classifier: measured)
    monkeypatch.setattr("kinetag.few_shot.finetune.finetuned", training)
    many = [tmp_path / f"salute_{i}.json" for i in range(12)]
    for i, path in enumerate(many):
        write_poses([salutes(azimuth=40 + 6 * i, period=1.5 + 0.04 * i, count=2)], path)
    path = tmp_path / "mine.npz"
    teach("salute", many[:10], path, model=model)
    full = "1 clips for 'salute': no more can be added; it has 10 already; --finetune takes up to 200"
    with pytest.raises(KinetagError, match=f"^{full}$"):
        teach("salute", many[10:11], path, model=model)
    teach("salute", many[10:11], path, model=model, finetune=True)
    teach("salute", many[11:], path, model=model)  # what was trained once stays so
    assert trained == [[11], [12]]
    assert len(load_profile(path).exercises["salute"].clips) == 12


def test_what_replaces_a_library_class_is_not_trained_against_it(taught, model, clips, tmp_path, monkeypatch):
    pytest.importorskip("torch")
    measured, rivals = load_profile(taught).space, []

    def training(profile, seen):
        rivals.append({profile.space.labels[label] for label in profile.space.negative_labels})
        return replace(profile, finetuned=True)

    monkeypatch.setattr("kinetag.few_shot.teach.build_space", lambda classifier: measured)
    monkeypatch.setattr("kinetag.few_shot.finetune.finetuned", training)
    for name in ("my squat", "squat"):
        teach(name, [clips / "squats.json"], tmp_path / f"{name}.npz", model=model, finetune=True)
    assert "squat" in rivals[0]
    assert rivals[1] == rivals[0] - {"squat"}


def test_a_finetuned_profile_is_evaluated_by_training_without_the_clips_that_are_tested(
    taught, model, tmp_path, monkeypatch, capsys
):
    pytest.importorskip("torch")
    from kinetag.few_shot import evaluation, finetune

    before, train = load_profile(taught), finetune.finetuned
    trained, others = [], before.space.negatives[::3]
    monkeypatch.setattr(evaluation, "build_space", lambda classifier: before.space)
    monkeypatch.setattr(evaluation, "library_embeddings", lambda classifier, seed: (others, np.zeros(len(others), int)))

    def training(profile, seen):
        trained.append([[len(clip.filmed) for clip in clips] for clips in seen])
        return train(profile, seen, steps=3)

    monkeypatch.setattr(finetune, "finetuned", training)
    save_profile(replace(before, finetuned=True), path := tmp_path / "mine.npz")
    given = ["--evaluate", "--profile", str(path), "--model", str(model)]
    assert cli.main(["teach", *given]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "Cross-validated: the last layer was trained 3 times anew, each without another part" in said
    assert re.search(r"salute 3 (100|9\d)%", said)
    # Two of three salutes; of the only clip of the pose one half, or both.
    assert [[len(clips) for clips in fold] for fold in trained] == [[2, 1], [2, 1], [2, 2]]
    assert len({tuple(fold[0]) for fold in trained}) == 3  # others each time
    classifier, profile, told = Classifier.load(model), load_profile(path), []
    found = evaluate(profile, classifier, progress=lambda stage, done, total: told.append((done, total)))
    assert found == evaluate(profile, classifier)
    assert [each for each in told if each[1]] == [(0, 3), (1, 3), (2, 3)]
    monkeypatch.setitem(sys.modules, "torch", None)
    assert cli.main(["teach", *given]) == 2
    assert "needs the package 'torch'" in capsys.readouterr().err


def test_finetuning_without_torch_says_what_to_install(model, clips, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setattr("kinetag.few_shot.teach._people", None)  # told before any clip is read
    with pytest.raises(KinetagError, match=r"teach --finetune needs the package 'torch'.*kinetag\[train\]"):
        teach("salute", [clips / "salute_0.json"], tmp_path / "mine.npz", model=model, finetune=True)
    assert not (tmp_path / "mine.npz").exists()


@pytest.mark.slow
def test_an_exported_network_gives_its_embedding(tmp_path):
    torch = pytest.importorskip("torch")
    from kinetag.models import build_window_model
    from kinetag.models.card import ModelCard
    from kinetag.models.onnx_file import export_onnx

    torch.manual_seed(0)
    network = build_window_model("multi_branch", 3)
    export_onnx(network, tmp_path / "tiny.onnx", ModelCard(labels=("squat", "plank", "other")))
    classifier = Classifier.load(tmp_path / "tiny.onnx")
    times, embeddings = classifier.embed(squats())
    assert embeddings.shape == (len(times), classifier.embedding_width)
    np.testing.assert_array_equal(times, classifier.predict(squats())[0])
    head = network.head
    with torch.no_grad():
        logits = head(torch.from_numpy(embeddings)).numpy()
    np.testing.assert_allclose(classifier.calibrated(logits), classifier.predict(squats())[1], atol=1e-4)


@pytest.fixture(scope="module")
def written(model, tmp_path_factory):
    """A folder with an exercise's file, poses of somebody else who does it, and a profile that the file taught."""
    folder = tmp_path_factory.mktemp("written")
    (folder / "mine").mkdir()
    (folder / "mine" / "arm_raise.yaml").write_text(WRITTEN)
    exercise = load_library([folder / "mine"])["arm_raise"]
    write_poses([made_clips(exercise, 3, seed=9)[2].poses], folder / "test.json")
    teach("arm raise", [folder / "mine" / "arm_raise.yaml"], folder / "mine.npz", model=model)
    return folder


def test_an_exercise_is_taught_by_its_yaml_alone(written, model, tmp_path):
    main = kinetag.analyze(written / "test.json", model=model, profile=written / "mine.npz").people[0].main_segment
    assert main.label == "arm_raise"
    assert main.repetition_count >= 1
    taught = load_profile(written / "mine.npz").exercises["arm_raise"]
    assert taught.exercise == load_library([written / "mine"])["arm_raise"]
    assert [clip.made for clip in taught.clips] == [True] * PEOPLE
    path = tmp_path / "mine.npz"
    path.write_bytes((written / "mine.npz").read_bytes())
    (tmp_path / "no_yaml_here").touch()
    before = load_profile(path)
    after = update(path, model=model)
    np.testing.assert_allclose(after.prototypes, before.prototypes, atol=0.01)


def test_a_yaml_file_goes_with_clips_and_takes_the_place_of_the_one_before(written, model, clips, tmp_path, capsys):
    path, file = tmp_path / "mine.npz", tmp_path / "salute.yaml"
    by_elbow = "{signal: elbow, rest: 165, peak: 60, min_period: 0.5, max_period: 6}"
    bent = WRITTEN.replace("up: {", "up: {elbow: [105, 130], ")
    file.write_text(re.sub("counting: .*", f"counting: {by_elbow}", bent))
    given = ["--profile", str(path), "--model", str(model)]
    assert cli.main(["teach", "Salute", str(file), str(clips / "salute_0.json"), *given]) == 0
    said = capsys.readouterr().out
    assert re.search(rf"salute\.yaml +{PEOPLE} made ", said)
    assert re.search(r"salute_0\.json +1 ", said)
    assert "counted by: elbow, 165 to 60°" in said
    lesson = teach("salute", [clips / "salute_1.json"], path, model=model)
    assert (lesson.taught.written.name, lesson.taught.counting.rest) == ("arm_raise", 165)
    assert [clip.name for clip in lesson.taught.clips[PEOPLE:]] == ["salute_0.json", "salute_1.json"]
    file.write_text(file.read_text().replace("rest: 165", "rest: 160"))
    again = teach("salute", [file], path, model=model).taught
    assert (len(again.clips), again.counting.rest) == (PEOPLE + 2, 160)
    with pytest.raises(KinetagError, match="9 clips for 'salute': give 1 to 8; it has 2 already"):
        teach("salute", [file, *[clips / "salute_2.json"] * 9], path, model=model)
    with pytest.raises(KinetagError, match="2 YAML files for 'salute': give one"):
        teach("salute", [file, file], path, model=model)


def test_analyze_says_what_it_cannot_recognise_and_how_to_teach_it(written, model, monkeypatch, capsys):
    monkeypatch.chdir(written)
    told = "arm_raise: the classifier does not know it; teach it: kinetag teach arm_raise mine/arm_raise.yaml"
    for given in ("mine", "mine/arm_raise.yaml"):
        timeline = kinetag.analyze("test.json", exercises=[given])
        assert timeline.warnings == [told]
        with pytest.raises(KinetagError, match=f"^{re.escape(told)}$"):
            kinetag.analyze("test.json", exercises=[given], only=["arm_raise"])
    with_model = kinetag.analyze("test.json", model=model, exercises=["mine"]).warnings
    assert with_model == [f"{told} --model {model}"]
    known = {"model": model, "exercises": ["mine"], "profile": "mine.npz"}
    assert kinetag.analyze("test.json", **known).warnings == []
    main = kinetag.analyze("test.json", **known, only=["arm_raise"]).people[0].main_segment
    assert main.label == "arm_raise"
    with pytest.raises(KinetagError, match="no exercise or family 'arm_rase', did you mean 'arm_raise'"):
        kinetag.analyze("test.json", **known, only=["arm_rase"])


def test_analyze_reads_each_exercise_file_once(written, monkeypatch):
    from kinetag.exercises import library

    read, seen = library.read_models, []

    def counted(path, model):
        seen.append(path.name)
        return read(path, model)

    monkeypatch.setattr(library, "read_models", counted)
    with_exercises = kinetag.analyze(written / "test.json", exercises=[written / "mine"])
    assert with_exercises.warnings
    assert seen.count("arm_raise.yaml") == 1
    assert seen.count("squat.yaml") == 1


def test_what_was_taught_under_another_name_is_known(written, model, monkeypatch, tmp_path):
    monkeypatch.chdir(written)
    path = tmp_path / "mine.npz"
    assert teach("front lift", ["mine/arm_raise.yaml"], path, model=model).taught.exercise.title == "Front lift"
    assert kinetag.analyze("test.json", model=model, exercises=["mine"], profile=path).warnings == []


def test_an_update_finetunes_where_it_is_asked_to(written, model, tmp_path, capsys):
    pytest.importorskip("torch")
    path = tmp_path / "mine.npz"
    path.write_bytes((written / "mine.npz").read_bytes())
    given = ["--profile", str(path), "--model", str(model)]
    assert cli.main(["teach", "--update", *given]) == 0
    assert not load_profile(path).finetuned
    assert cli.main(["teach", "--update", "--finetune", *given]) == 0
    assert load_profile(path).finetuned


def test_what_is_weak_is_said(capsys):
    from rich.console import Console

    scores = [
        Score("salute", 3, 40, 1.0, {}, 0.072, "squat"),
        Score("wave", 3, 40, 0.5, {"standing": 0.499, "squat": 0.001}, 0.0, ""),
    ]
    Console(width=300).print(scores_table(Evaluation(tuple(scores))))
    said = capsys.readouterr().out
    assert "salute (7.2% of the library's windows are taken for it, more than 5%)" in said
    assert "wave (recognised in 50%, less than 80%)" in said
    assert "standing 50%, squat <1%" in said


def test_everything_may_be_in_a_store(store, model, clips, capsys):
    from object_store import BUCKET

    from kinetag import storage

    root, given = f"s3://{BUCKET}", []
    for name in ("salute_0.json", "salute_1.json", "test.json"):
        storage.upload(clips / name, f"{root}/clips/{name}")
    storage.write_file(f"{root}/mine/arm_raise.yaml", WRITTEN.encode())
    storage.upload(model, f"{root}/mine.onnx")
    given = ["--profile", f"{root}/team/profile.npz", "--model", f"{root}/mine.onnx"]
    assert cli.main(["teach", "Salute", f"{root}/clips/salute_0.json", *given]) == 0
    assert cli.main(["teach", "Salute", f"{root}/clips/salute_1.json", *given]) == 0
    said = capsys.readouterr().out
    assert f"kinetag analyze VIDEO --profile {root}/team/profile.npz" in " ".join(said.split())
    assert "salute_1.json" in said
    assert cli.main(["analyze", f"{root}/clips/test.json", "--exercises", f"{root}/mine", *given]) == 0
    assert f"kinetag teach arm_raise {root}/mine/arm_raise.yaml" in " ".join(capsys.readouterr().out.split())
    assert cli.main(["teach", "arm raise", f"{root}/mine/arm_raise.yaml", *given]) == 0
    assert re.search(r"arm_raise\.yaml +\d+ made ", capsys.readouterr().out)
    assert cli.main(["analyze", f"{root}/clips/test.json", "--format", "csv", *given]) == 0
    assert ",salute," in capsys.readouterr().out
    assert cli.main(["teach", "Salute", f"{root}/clips/none.json", *given]) == 2
    assert f"{root}/clips/none.json" in capsys.readouterr().err
    assert cli.main(["teach", "--list", "--profile", f"{root}/team/none.npz"]) == 2
    assert f"{root}/team/none.npz" in capsys.readouterr().err
