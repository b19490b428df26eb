"""``cai judge-eval``: the exam finds what was put into a judge, reads people's data in every form, and keeps nothing stale."""

import gzip
import json
import math
import signal
import subprocess
import sys
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from subprocess import CompletedProcess
from threading import Event, Thread
from typing import Any

import oracle as known
import pytest
from oracle import Oracle

from cai.cli.judge_eval import JudgeEval, examine_judge
from cai.errors import UserError
from cai.judge.agreement import agreement
from cai.judge.calibration import fit
from cai.judge.figures import JudgedPair, floors, judged_pairs
from cai.judge.figures import figures as all_marks
from cai.stages.label import Label
from cai.store.rows import Draft, Pair, Preference, Vote

ROOT = Path(__file__).resolve().parents[2]
PEOPLE = ROOT.parent / "shared" / "data" / "hh-harmless" / "pairs.jsonl.gz"
Cai = Callable[..., CompletedProcess[str]]
Write = Callable[[str, str], Path]
CONSTITUTION = """\
name: small
principles:
  - {id: kind, critique: Say which words are unkind., revision: Say it kindly., judgment: Which answer is kinder?}
"""
FITS = "calibration=broken", "calibration=empty", "calibration=deep"
KNOWS = """\
- {when: "Answer .A.: GOOD", choose: {A: 0.8, B: 0.1}}
- {choose: {A: 0.1, B: 0.8}, say: ["One of them is kinder."]}
"""


@pytest.fixture(scope="module", params=[1000, pytest.param(5000, marks=pytest.mark.slow)])
def exams(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A judge with every fault on some thousand pairs, examined over HTTP; ``noise`` is how far figures vary by their number."""
    count: int = request.param
    folder = tmp_path_factory.mktemp("oracle")
    faulty = Oracle(sharpness=3.0, bias=2.0, mute=0.05)
    known.write_pairs(folder / "pairs.jsonl", count)
    with known.serving() as url:
        data = folder / "pairs.jsonl"
        found = {
            "both": known.examine(faulty, url, data, folder / "both", "both", "isotonic"),
            "logits": known.examine(faulty, url, data, folder / "logits", "logits", "temperature"),
            "one": known.examine(faulty, url, data, folder / "one", "one"),
        }
    return {**found, "oracle": faulty, "folder": folder, "count": count, "noise": math.sqrt(5000 / count)}


def test_the_exam_finds_the_accuracy_that_was_put_in(exams: dict[str, Any]) -> None:
    for orders in ("both", "logits", "one"):
        found, true = exams[orders], known.truth(exams["oracle"], orders)
        assert found["accuracy"]["low"] <= true["accuracy"] <= found["accuracy"]["high"], orders
        assert found["brier"]["low"] <= true["brier"] <= found["brier"]["high"], orders
        assert found["unreadable"] == pytest.approx(true["unreadable"], abs=3 * math.sqrt(0.05 * 0.95 / exams["count"]))


def test_both_orders_remove_the_bias(exams: dict[str, Any]) -> None:
    true = known.truth(exams["oracle"], "both")
    assert exams["both"]["position"]["rate"] == pytest.approx(true["same"], abs=0.02 * exams["noise"])
    unbiased = known.truth(Oracle(sharpness=3.0, mute=0.05), "both")["accuracy"]
    both, one = exams["both"]["accuracy"], exams["one"]["accuracy"]
    assert both["low"] <= unbiased <= both["high"]
    assert one["high" if exams["count"] == 5000 else "value"] < unbiased


def test_calibration_brings_the_error_under_two_points(exams: dict[str, Any]) -> None:
    assert exams["both"]["ece"] > 0.05
    assert exams["both"]["calibrated"]["ece"] < 0.02 * exams["noise"]
    assert exams["logits"]["ece"] > 0.05
    assert exams["logits"]["calibrated"]["ece"] < 0.02 * exams["noise"]


def test_inconsistent_are_those_whose_orders_must_disagree_and_no_others(exams: dict[str, Any]) -> None:
    must, found, differ = known.inconsistent_as_expected(exams["oracle"], exams["folder"] / "both")
    assert must == found > exams["count"] / 5
    assert differ == 0


def marks(pairs: list[JudgedPair]) -> dict[str, Any]:
    return all_marks(pairs, Label(model="judge", method="logprob"))


def preference(number: int, p_a: float | None, people: tuple[float, ...], context: str = "") -> Preference:
    drafts = Draft("x" * (10 + number % 7), "", "stop", 0), Draft("x" * 12, "", "stop", 0)
    pair = Pair(
        f"{number}", context or f"{number}", ({"role": "user", "content": "Hi"},), *drafts, "redteam", people=people
    )
    vote = Vote("kind", "ab", "logprob", "m", 0, "ok" if p_a is not None else "unparsed", p_a)
    return Preference(pair.id, pair, (vote,), p_a, p_a, vote.status)


def test_pairs_of_one_conversation_are_no_independent_evidence() -> None:
    apart = marks(list(judged_pairs(preference(n, 0.9 if n % 2 else 0.1, (1.0,)) for n in range(100))))
    together = marks(
        list(judged_pairs(preference(n, 0.9 if n % 2 else 0.1, (1.0,), f"{n % 2}{n % 10}") for n in range(100)))
    )
    assert apart["accuracy"].value == together["accuracy"].value == 0.5
    assert together["contexts"] == 10
    assert together["accuracy"].high - together["accuracy"].low > 2 * (apart["accuracy"].high - apart["accuracy"].low)


def test_what_is_not_read_is_not_right_and_ties_of_people_do_not_count() -> None:
    rows = [
        preference(0, None, (1.0,)),
        preference(1, 0.5, (1.0,)),
        preference(2, 0.8, (0.0, 1.0)),
        preference(3, 0.8, (1.0,)),
    ]
    found = marks(list(judged_pairs(rows)))
    assert (found["pairs"], found["people_even"]) == (3, 1)
    assert found["accuracy"].value == pytest.approx((0 + 0.5 + 1) / 3)
    assert found["accuracy_read"].value == pytest.approx(1.5 / 2)
    assert found["accuracy_labelled"].of == 2


def test_few_contexts_leave_doubt() -> None:
    one = marks(list(judged_pairs([preference(4, 0.9, (1.0,))])))  # the longer answer, and right
    assert [one["above_floors"][name].low <= 0 for name in ("random", "longer", "shorter")] == [True] * 3
    assert one["above_floors"]["random"].high <= 0.5
    found = marks(list(judged_pairs([preference(0, 0.9, (1.0,)), preference(1, 0.9, (1.0,))])))
    assert found["accuracy"].value == 1.0
    assert found["accuracy"].low < 0.5


def test_calibration_is_measured_against_the_share_of_people() -> None:
    """Two of three people agree with a judge that says two thirds: it is as sure as it should be."""
    rows = [preference(n, 2 / 3, (1.0, 1.0, 0.0)) for n in range(60)]
    assert marks(list(judged_pairs(rows)))["ece"] == pytest.approx(0, abs=1e-9)


def test_floors_know_length_and_position() -> None:
    pairs = list(judged_pairs(preference(n, 0.9, (1.0,)) for n in (3, 4, 0)))  # a has 13, 14 and 10 letters, b 12
    assert floors(pairs) == {
        "random": 0.5,
        "first": 1.0,
        "longer": pytest.approx(2 / 3),
        "shorter": pytest.approx(1 / 3),
    }


def test_people_s_own_agreement_is_told() -> None:
    """Ten pairs, two people: both a in four, both b in three, apart in three. Expected by chance: 0.55·0.55 + …"""
    people = [(1.0, 1.0)] * 4 + [(0.0, 0.0)] * 3 + [(1.0, 0.0)] * 2 + [(0.0, 1.0)]
    found = agreement(list(judged_pairs(preference(n, 0.9, each) for n, each in enumerate(people))))
    assert found is not None
    chance = 0.6 * 0.5 + 0.4 * 0.5
    assert found["cohen_first_two"] == pytest.approx((0.7 - chance) / (1 - chance))
    pooled = 0.55**2 + 0.45**2
    assert found["fleiss"] == pytest.approx((0.7 - pooled) / (1 - pooled))
    assert (found["same_first_two"], found["pairs"], found["people"]) == (0.7, 10, 2)
    assert agreement(list(judged_pairs([preference(0, 0.9, (1.0,))]))) is None


def test_people_who_said_how_sure_they_are_agree_by_what_they_lean_to() -> None:
    people = [(0.9, 0.6), (0.2, 0.4), (0.5, 0.5), (0.7, 0.1)]
    found = agreement(list(judged_pairs(preference(n, 0.9, each) for n, each in enumerate(people))))
    assert found is not None and found["same_first_two"] == 0.75


@pytest.mark.parametrize("kind", ["temperature", "isotonic"])
def test_a_calibration_leaves_one_half_and_mirrors(kind: str) -> None:
    ps = [n / 200 for n in range(201)]
    fitted = fit(kind, ps, [float(p > 0.5) * 0.6 + 0.2 for p in ps])
    assert fitted.of(0.5) == pytest.approx(0.5, abs=1e-6)
    for p in ps:
        assert fitted.of(1 - p) == pytest.approx(1 - fitted.of(p), abs=1e-6)
    assert fitted.of(0.9) < 0.9


def test_a_judge_no_better_than_chance_is_calibrated_to_one_half() -> None:
    fitted = fit("temperature", [0.9, 0.1] * 50, [0.0, 1.0] * 50)
    assert fitted.of(0.9) == pytest.approx(0.5, abs=1e-3)


def pairs_file(write: Write, count: int = 40) -> Path:
    rows = [{"prompt": f"Question {n}?", "chosen": f"GOOD {n}", "rejected": f"BAD {n} by far"} for n in range(count)]
    return write("people.jsonl", "".join(json.dumps(each) + "\n" for each in rows))


def sit(cai: Cai, write: Write, *more: str | Path, script: str = KNOWS) -> CompletedProcess[str]:
    line = ("--constitution", write("small.yaml", CONSTITUTION), "--model", write("judge.yaml", script))
    return cai("judge-eval", pairs_file(write), *line, "--out", write("x", "").parent / "exam", *more)


def test_the_command_shows_a_table_and_writes_a_page(cai: Cai, write: Write, tmp_path: Path) -> None:
    ran = sit(cai, write, "--method", "logprob", "--method", "cot", "--method", "rules")
    assert ran.returncode == 0, ran.stderr
    assert "floor: shorter" in ran.stdout
    assert "logprob: Better than a coin, 100%" in ran.stdout
    page = (tmp_path / "exam" / "exam.html").read_text()
    assert all(f"<h2>{method}</h2>" in page for method in ("logprob", "cot", "rules"))
    figures = json.loads((tmp_path / "exam" / "exam.json").read_text())
    assert figures["methods"]["logprob"]["accuracy"]["value"] == 1.0
    assert figures["methods"]["logprob"]["floors"]["longer"] == 0.0
    assert figures["methods"]["rules"]["accuracy"]["value"] == 1.0  # the shorter one, which is the better here
    assert figures["methods"]["rules"]["cost"]["tokens_in"] == 0


def test_a_judge_of_letters_is_told_so(cai: Cai, write: Write) -> None:
    ran = sit(cai, write, script="- {choose: {A: 0.8, B: 0.1}}\n")
    assert "with a winner in both orders, the same position won 100%" in " ".join(ran.stdout.split())
    assert "No better than a coin" in ran.stdout


def numbered(write: Write, good: object, bad: object) -> Path:
    rows = [
        {"prompt": f"Question {n}?", "answer_a": f"GOOD {n}", "answer_b": f"BAD {n} by far", "label": good}
        if n % 2
        else {"prompt": f"Question {n}?", "answer_a": f"BAD {n} by far", "answer_b": f"GOOD {n}", "label": bad}
        for n in range(40)
    ]
    return write("people.jsonl", "".join(json.dumps(each) + "\n" for each in rows))


def test_labels_that_are_numbers_are_asked_about_and_turned_about_where_a_judge_shows_it(
    cai: Cai, write: Write
) -> None:
    """With the labels read the wrong way round, a judge that is always right is always wrong, and the exam asks."""
    line = ("--constitution", write("small.yaml", CONSTITUTION), "--model", write("judge.yaml", KNOWS))
    data = numbered(write, 1, 0)
    out = data.parent / "exam"
    asked = cai("judge-eval", data, *line, "--out", out)
    assert asked.returncode == 2
    assert "label holds 0 (20), 1 (20), and numbers alone do not say" in asked.stderr
    wrong = cai("judge-eval", data, *line, "--out", out, "--columns", "first=0")
    assert "Worse than a coin, 0%" in wrong.stdout
    assert "Are the labels the other way round? If they are of the worse answer, say `means: worse`" in wrong.stdout
    figures = json.loads((out / "exam.json").read_text())
    assert figures["methods"]["logprob"]["question"].startswith("Are the labels the other way round?")
    assert figures["pairs"]["labels"] == "people.jsonl: label 0 means answer_a, 1 means answer_b, as `columns` says"
    right = cai("judge-eval", data, *line, "--out", out, "--columns", "first=0", "--columns", "means=worse")
    assert "Better than a coin, 100%" in right.stdout
    assert "other way round" not in right.stdout
    assert json.loads((out / "exam.json").read_text())["methods"]["logprob"]["question"] == ""


def test_a_judge_that_cannot_be_read_raises_no_question(cai: Cai, write: Write) -> None:
    ran = sit(cai, write, script="- {choose: {A: 0.01, B: 0.01}}\n")
    assert "Worse than a coin" in ran.stdout and "other way round" not in ran.stdout


def test_a_column_for_each_answer_is_named_by_three_labels(cai: Cai, write: Write) -> None:
    rows = [
        {
            "prompt": f"{n}?",
            "a": f"GOOD {n}",
            "b": f"BAD {n}",
            "won_a": int(n % 4 > 0),
            "won_b": 0,
            "even": int(n % 4 == 0),
        }
        for n in range(40)
    ]
    data = write("people.jsonl", "".join(json.dumps(each) + "\n" for each in rows))
    line = ("--constitution", write("small.yaml", CONSTITUTION), "--model", write("judge.yaml", KNOWS), "--json")
    labels = [each for column in ("won_a", "won_b", "even") for each in ("--columns", f"label={column}")]
    ran = cai("judge-eval", data, *line, "--out", data.parent / "exam", *labels)
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)["methods"]["logprob"]
    assert (found["pairs"], found["people_even"], found["accuracy"]["value"]) == (30, 10, 1.0)


def test_another_judge_s_exam_is_not_taken_for_its_own(cai: Cai, write: Write) -> None:
    assert "100%" in sit(cai, write).stdout
    other = sit(cai, write, script="- {choose: {A: 0.8, B: 0.1}}\n")  # the same file, edited
    assert "logprob: something changed since it was done" in other.stdout
    assert "No better than a coin" in other.stdout


def test_a_run_s_folder_is_not_taken(cai: Cai, write: Write, scripted_run: Callable[..., Path]) -> None:
    folder = scripted_run()
    ran = sit(cai, write, "--out", folder)
    assert ran.returncode == 2
    assert "is a run's folder; name another one" in ran.stderr
    assert not (folder / "exam.json").exists()


def test_two_inputs_share_no_folder(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of one name in two forms, or two places: the later exam takes no earlier one's folder, and each finds its own again."""
    monkeypatch.chdir(tmp_path)
    write("small.yaml", CONSTITUTION)
    text = "".join(json.dumps({"prompt": f"{n}?", "chosen": "x", "rejected": "yy"}) + "\n" for n in range(5))
    (tmp_path / "hh.jsonl.gz").write_bytes(gzip.compress(text.encode()))
    write("hh.jsonl", text), write("other/hh.jsonl", text)

    def exam(data: str, out: Path | None = None) -> None:
        examine_judge(JudgeEval(data, Path("small.yaml"), ("rules",)), (None, None), out, as_json=False)

    data = ["hh.jsonl", "hh.jsonl.gz", "other/hh.jsonl", str(tmp_path / "hh.jsonl")]
    for each in (*data, *data):
        exam(each)
    held = {path.name: json.loads((path / "exam.json").read_text())["data"] for path in Path("runs").iterdir()}
    assert held["exam-hh"] == str(tmp_path / "hh.jsonl") and sorted(held.values()) == sorted(data[1:])
    with pytest.raises(UserError, match=r"--out: runs/exam-hh has the exam on .*hh\.jsonl; name another folder"):
        exam("hh.jsonl.gz", Path("runs/exam-hh"))


def test_an_exam_of_too_few_pairs_for_a_calibration_is_written_and_says_where(
    cai: Cai, write: Write, tmp_path: Path
) -> None:
    ran = sit(cai, write, "--limit", "5", "--calibrate", "isotonic", "--name", "x")
    assert ran.returncode == 2 and "too few to fit a calibration" in ran.stderr
    assert f"{tmp_path / 'exam' / 'exam.html'}, {tmp_path / 'exam' / 'exam.json'}" in "".join(ran.stdout.split("\n"))
    assert json.loads((tmp_path / "exam" / "exam.json").read_text())["methods"]["logprob"]["pairs"] == 5


def listening() -> None:
    """In the background a shell lets processes ignore what Ctrl-C sends, and their children with them: also all tests."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Silent(BaseHTTPRequestHandler):
    """A server that has a model and never answers it; tells when it is asked."""

    asked = Event()

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"data": [{"id": "m"}]}')

    def do_POST(self) -> None:
        self.asked.set()
        self.rfile.read()  # until the other side has gone

    def log_message(self, *_: object) -> None: ...


def test_stopped_by_a_person_it_says_how_to_go_on(write: Write, tmp_path: Path) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Silent)
    Thread(target=server.serve_forever, daemon=True).start()
    model = f"{{endpoints: ['http://127.0.0.1:{server.server_port}/v1'], model: m}}"
    line = [sys.executable, "-m", "cai.cli", "judge-eval", pairs_file(write), "--model", model]
    line += ["--constitution", write("s.yaml", CONSTITUTION), "--out", tmp_path / "exam"]
    running = subprocess.Popen(list(map(str, line)), stderr=subprocess.PIPE, text=True, cwd=ROOT, preexec_fn=listening)
    while not Silent.asked.wait(0.1):
        assert running.poll() is None
    running.send_signal(signal.SIGINT)
    _, said = running.communicate()
    server.shutdown()
    assert running.returncode == 1
    assert said.strip() == "error: stopped; run the same command again to go on"


def test_an_exam_that_is_done_is_not_asked_again_unless_something_changed(cai: Cai, write: Write) -> None:
    assert "set aside" not in sit(cai, write).stdout
    assert "done before" in (again := sit(cai, write).stdout)
    assert "set aside" not in again
    changed = sit(cai, write, "layout=paper").stdout
    assert "logprob: something changed since it was done; set aside, and asked anew" in changed


def test_a_calibration_is_saved_with_the_judge_and_applied_by_name(cai: Cai, write: Write, tmp_path: Path) -> None:
    line = ("--constitution", write("small.yaml", CONSTITUTION), "--model", write("judge.yaml", KNOWS))
    data = pairs_file(write)
    ran = cai("judge-eval", data, *line, "--out", "exam", "--calibrate", "isotonic", "--name", "sure", cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    saved = json.loads((tmp_path / "judges" / "sure.json").read_text())
    assert saved["judge"]["method"] == "logprob"
    recipe = """\
name: r
constitution: small.yaml
models: {{judge: {{scripted: judge.yaml}}}}
stages:
  - pairs: {{path: people.jsonl}}
  - label: {{model: judge, method: {method}, calibration: sure}}
  - prefs: {{}}
"""
    write("r.yaml", recipe.format(method="logprob"))
    assert cai("run", "r.yaml", cwd=tmp_path).returncode == 0
    row = json.loads((tmp_path / "runs" / "r" / "label" / "part-00000.jsonl").read_text().splitlines()[0])
    assert row["p_a"] in (pytest.approx(8 / 9), pytest.approx(1 / 9))
    assert row["p_label"] == row["p_calibrated"] in (0.0, 1.0)
    write("r.yaml", recipe.format(method="cot"))
    wrong = cai("run", "r.yaml", cwd=tmp_path)
    assert wrong.returncode == 2
    assert "r.yaml:6: stages[1].label.calibration: was fitted for method logprob, and this is cot" in wrong.stderr
    write("r.yaml", recipe.format(method="logprob, names: numbers"))
    assert "was fitted for names letters, and this is numbers" in cai("run", "r.yaml", cwd=tmp_path).stderr
    judge = (tmp_path / "judge.yaml").rename(tmp_path / "moved.yaml")
    write("r.yaml", recipe.format(method="logprob").replace("judge.yaml", "moved.yaml"))
    assert cai("run", "r.yaml", cwd=tmp_path).returncode == 0
    judge.write_text(judge.read_text() + "- {say: [Never.]}\n")
    other = cai("run", "r.yaml", cwd=tmp_path)
    assert other.returncode == 2 and "label.calibration: was fitted for weights " in other.stderr


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (("--method", "logprobs"), 'there is no "logprobs"; did you mean "logprob"?'),
        (("--method", "reward"), "the method reward needs --reward; name a model"),
        (("--method", "propositions"), "has propositions, which propositions needs"),
        (("--calibrate", "platt"), 'there is no "platt"'),
        (("--name", "x"), "add --calibrate"),
        (("--columns", "label"), "not of the form WHAT=COLUMN"),
        (("samples=3",), "is for the method cot"),
        (("sampels=3",), 'there is no such setting of a judge; did you mean "samples"?'),
        (("method=cot",), "there is no such setting of a judge"),
        (("cot.samples=2",), "cot is not examined here; add --method cot"),
        (("--calibrate", "isotonic", "--name", "../x"), '"../x" is no name'),
        (("calibration=broken",), "broken.json is not a calibration"),
        (("calibration=empty",), "empty.json is not a calibration"),
        (("calibration=deep",), "deep.json is not a calibration"),
        (("calibration=x", "--calibrate", "isotonic"), "fit what the judge itself says"),
        (("--limit", "5", "--calibrate", "isotonic", "--name", "x"), "too few to fit a calibration"),
    ],
)
def test_what_is_wrong_is_a_sentence(cai: Cai, write: Write, more: tuple[str, ...], says: str) -> None:
    write("judges/broken.json", "{")
    write("judges/deep.json", "[" * 100_000)
    curve = {"kind": "isotonic", "temperature": 1, "xs": [], "ys": [], "judge": {}, "about": {}}
    folder = write("judges/empty.json", json.dumps(curve)).parent
    ran = sit(
        cai,
        write,
        *(each.replace("calibration=", f"calibration={folder}/") + ".json" if each in FITS else each for each in more),
    )
    assert ran.returncode == 2
    assert says in " ".join(ran.stderr.split())
    assert "Traceback" not in ran.stderr


@pytest.mark.skipif(not PEOPLE.exists(), reason="the data that people labelled is not here")
def test_people_s_labels_are_read_and_rules_are_examined_on_them(cai: Cai, tmp_path: Path) -> None:
    ran = cai(
        "judge-eval",
        PEOPLE,
        "--constitution",
        "principles/harmless.yaml",
        "--method",
        "rules",
        "--out",
        tmp_path,
        "--json",
    )
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)
    assert found["pairs"]["rows_kept"] > 1400
    assert found["methods"]["rules"]["floors"]["shorter"] == pytest.approx(0.557, abs=0.03)


def test_a_run_s_report_tells_the_same_position_by_judge_and_principle(scripted_run: Callable[..., Path]) -> None:
    page = (scripted_run() / "report" / "report.html").read_text(encoding="utf-8")
    assert "The same position, by judge and by principle" in page


def test_a_panel_is_weighed_and_thin_margins_are_left_out(cai: Cai, write: Write, tmp_path: Path) -> None:
    """Two judges by weight, one of whom sees only letters."""
    write("small.yaml", CONSTITUTION)
    write("knows.yaml", KNOWS)
    write("letters.yaml", "- {choose: {A: 0.8, B: 0.1}}\n")
    pairs_file(write)
    recipe = """\
name: r
constitution: small.yaml
models: {knows: {scripted: knows.yaml}, letters: {scripted: letters.yaml}}
stages:
  - pairs: {path: people.jsonl}
  - label: {panel: {knows: 3, letters: 1}, method: logprob, disagree: DISAGREE}
  - prefs: {thin: THIN}
"""
    for disagree, thin, p_label in (("drop", "0", 8 / 9), ("average", "0", (3 * 8 / 9 + 0.5) / 4)):
        write("r.yaml", recipe.replace("DISAGREE", disagree).replace("THIN", thin))
        ran = cai("run", "r.yaml", "--redo", "label", cwd=tmp_path)
        assert ran.returncode == 0, ran.stderr
        row = json.loads((tmp_path / "runs" / "r" / "label" / "part-00000.jsonl").read_text().splitlines()[0])
        assert len(row["votes"]) == 4
        assert max(row["p_label"], 1 - row["p_label"]) == pytest.approx(p_label)
    write("r.yaml", recipe.replace("DISAGREE", "average").replace("THIN", "0.3"))
    ran = cai("run", "r.yaml", "--redo", "prefs", cwd=tmp_path)
    assert ran.returncode == 1
    assert "prefs has no examples (thin_margin 40)" in ran.stderr
