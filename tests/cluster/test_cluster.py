"""Runs over a Ray cluster of several nodes on this machine: the same rows as one machine makes, whatever is lost."""

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from cai.cluster.hire import Place, places
from cai.cluster.storage import Storage
from cai.cluster.worker import SCRATCH
from cai.models.machine import Machine
from cai.recipe.read import load_recipe

ROOT = Path(__file__).resolve().parents[2]
RECIPE = (ROOT / "tests" / "data" / "scripted.yaml").read_text(encoding="utf-8")
SCRIPT = (ROOT / "tests" / "data" / "script.yaml").read_text(encoding="utf-8")
ROWS = ("part-*.jsonl", "drops.jsonl", "*.parquet", "metrics.json")
Cai = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An S3 server on this machine, told to every process by the environment; the URL of a bucket."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = (tmp_path_factory.mktemp("s3") / "log").open("w")
    server = subprocess.Popen([sys.executable, "-m", "moto.server", "-p", str(port)], stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", url)
        for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(key, "test")
        while not answers(urllib.request.Request(f"{url}/rows", method="PUT")):
            assert server.poll() is None, "the S3 server ended"
            time.sleep(0.05)
        yield "s3://rows"
    server.terminate()
    server.wait()
    log.close()


def answers(request: urllib.request.Request) -> bool:
    try:
        return bool(urllib.request.urlopen(request))
    except OSError:
        return False


@pytest.fixture(scope="module")
def cluster(bucket: str) -> Iterator[Any]:
    """Three nodes of one core each; they take the time to start that they need."""
    from ray._private import services
    from ray.cluster_utils import Cluster

    there = services.get_node

    def until_there(*node: Any) -> Any:
        while True:
            try:
                return there(*node)
            except RuntimeError:
                time.sleep(0.05)

    with pytest.MonkeyPatch.context() as patch:
        # Ray itself gives up on a node that is not there after half a minute.
        patch.setattr(services, "get_node", until_there)
        for step in ("gcs_server_port_wait_time_s", "worker_register_timeout_seconds"):
            patch.setenv(f"RAY_{step}", "3600")
        nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
        for _ in range(2):
            nodes.add_node(num_cpus=1)
        yield nodes
        nodes.shutdown()


@pytest.fixture
def recipe(tmp_path: Path, write: Callable[[str, str], Path]) -> Callable[..., Path]:
    """A scripted recipe with many small parts; ``delay`` seconds for each request, four at once."""

    def written(delay: float = 0.0) -> Path:
        write("script.yaml", SCRIPT.replace("say: [", f"delay: {delay}, say: ["))
        write("other.yaml", (ROOT / "tests" / "data" / "other.yaml").read_text(encoding="utf-8"))
        text = (
            RECIPE.replace("part_size: 16", "part_size: 3")
            .replace("limit: 40", "limit: 120")
            .replace("script.yaml}", "script.yaml, concurrency: 4}")
        )
        return write("r.yaml", text)

    return written


def contents(out: Path) -> dict[str, bytes]:
    files = {path for pattern in ROWS for path in (out / "scripted").rglob(pattern)}
    return {str(path.relative_to(out)): path.read_bytes() for path in files}


def same_rows(one: Path, other: Path) -> bool:
    mine, others = contents(one), contents(other)
    assert any("revise/part-00003" in name for name in mine)
    return mine == others


def test_a_shared_folder_and_an_object_store_hold_what_one_machine_makes(
    cai: Cai, cluster: Any, bucket: str, recipe: Callable[..., Path], tmp_path: Path
) -> None:
    import s3fs

    file = recipe()
    here = cai("run", file, "--out", tmp_path / "here")
    over = cai("run", file, "--out", tmp_path / "shared", "--ray", cluster.address)
    assert over.returncode == 0, over.stderr + over.stdout
    assert same_rows(tmp_path / "here", tmp_path / "shared")
    stored = cai("run", file, "--out", tmp_path / "stored", "--ray", cluster.address, "--store", f"{bucket}/runs")
    assert stored.returncode == 0, stored.stderr + stored.stdout
    assert same_rows(tmp_path / "here", tmp_path / "stored")
    part = "scripted/revise/part-00003.jsonl"
    with s3fs.S3FileSystem(skip_instance_cache=True).open(f"rows/runs/{part}") as kept:
        assert kept.read() == (tmp_path / "here" / part).read_bytes()
    line = ["--ray", cluster.address, "--store", tmp_path / "between"]
    between = cai("run", file, "--out", tmp_path / "apart", *line)
    assert between.returncode == 0, between.stderr + between.stdout
    assert same_rows(tmp_path / "here", tmp_path / "apart")
    another = cai("run", file, "--out", tmp_path / "another", *line)
    assert another.returncode == 2
    assert "holds rows of another run; choose another --store, or another name" in another.stderr
    for folder in ("shared", "stored", "apart"):
        left = [path.name for path in (tmp_path / folder / "scripted").rglob(".parts")]
        assert left == []
    [ledger] = re.findall("revise: .* tokens in", over.stdout)
    assert ledger in stored.stdout and ledger in here.stdout


def test_a_node_that_joins_works_and_one_lost_or_a_worker_killed_costs_nothing_but_time(
    cai: Cai, cluster: Any, recipe: Callable[..., Path], tmp_path: Path
) -> None:
    assert cai("run", recipe(), "--out", tmp_path / "here").returncode == 0
    line = [sys.executable, "-m", "cai.cli", "run", recipe(delay=0.3), "--out", tmp_path / "over"]
    line += ["--ray", cluster.address]
    process = subprocess.Popen(line, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    while not list((tmp_path / "over" / "scripted" / "revise").glob("part-*.jsonl")):
        assert process.poll() is None
        time.sleep(0.05)
    stays, goes = cluster.head_node, cluster.add_node(num_cpus=1)
    while not workers(goes):
        assert process.poll() is None
        time.sleep(0.05)
    workers(stays)[0].kill()
    scratch = f"{SCRATCH}{workers(goes)[0].pid}-*/*/**/*.open"
    while not list(Path(tempfile.gettempdir()).glob(scratch)):
        assert process.poll() is None
        time.sleep(0.05)
    cluster.remove_node(goes, allow_graceful=False)
    said, _ = process.communicate()
    assert process.returncode == 0, said
    for node in (stays, goes):
        assert f"the worker on node {node.node_id[:8]} is lost; its open parts go to others" in said
    assert f"node {stays.node_id[:8]} gets another worker; the last one: its process was killed" in said
    assert same_rows(tmp_path / "here", tmp_path / "over")


def workers(node: Any) -> list[psutil.Process]:
    raylet = psutil.Process(node.all_processes["raylet"][0].process.pid)
    return [each for each in raylet.children(recursive=True) if "ray::Worker" in " ".join(each.cmdline())]


def test_a_killed_run_goes_on_over_a_cluster_or_without_one(
    cai: Cai, cluster: Any, recipe: Callable[..., Path], tmp_path: Path
) -> None:
    assert cai("run", recipe(), "--out", tmp_path / "here").returncode == 0
    file = recipe(delay=0.15)
    out = tmp_path / "over"
    folder = out / "scripted" / "revise"

    def lines(path: Path) -> int:
        try:
            return path.read_bytes().count(b"\n")
        except FileNotFoundError:  # a part that was finished meanwhile
            return 0

    def begun() -> int:
        return sum(map(lines, folder.glob("*.open")))

    def finished() -> int:
        return len(list(folder.glob("part-*.jsonl")))

    killed(file, out, lambda: finished() > 1 and begun() > 0)
    assert begun()
    before = finished()
    killed(file, out, lambda: finished() > before + 5, "--ray", cluster.address)
    assert cai("run", file, "models.policy.concurrency=64", "--out", out).returncode == 0
    assert same_rows(tmp_path / "here", out)


def killed(file: Path, out: Path, when: Callable[[], bool], *more: str) -> None:
    """Start a run, and kill it at a moment."""
    line = [sys.executable, "-m", "cai.cli", "run", file, "--out", out, *more]
    process = subprocess.Popen(line, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not when():
        assert process.poll() is None
    os.kill(process.pid, signal.SIGKILL)
    process.wait()


@pytest.mark.parametrize(
    ("more", "code", "words"),
    [
        (("--ray", "127.0.0.1:9"), 2, "--ray 127.0.0.1:9: no cluster answers"),
        (("--ray", "ray://127.0.0.1:9"), 2, "run this on a machine of the cluster"),
        (("--ray", "somewhere"), 2, "--ray somewhere: no cluster answers"),
        (("--store", "s3://rows"), 2, "--store is for runs over a cluster; add --ray ADDRESS"),
        (("--ray", "CLUSTER", "--store", "nowhere://rows"), 2, "nowhere://rows/scripted: Protocol not known: nowhere"),
        (("--ray", "CLUSTER", "--store", "s3://no-such-bucket"), 1, "storage s3://no-such-bucket/scripted:"),
    ],
)
def test_what_cannot_work_is_a_sentence(
    cai: Cai, cluster: Any, recipe: Callable[..., Path], tmp_path: Path, more: tuple[str, ...], code: int, words: str
) -> None:
    line = [cluster.address if each == "CLUSTER" else each for each in more]
    ran = cai("run", recipe(), "--out", tmp_path, *line)
    assert ran.returncode == code, ran.stdout + ran.stderr
    assert words in ran.stderr
    assert "Traceback" not in ran.stderr


def test_a_model_that_no_worker_reaches_stops_the_run_with_its_reason(
    cai: Cai, cluster: Any, recipe: Callable[..., Path], tmp_path: Path
) -> None:
    gone = "models.policy={endpoints: ['http://127.0.0.1:9/v1'], model: m, patience: 1}"
    ran = cai("run", recipe(), gone, "--out", tmp_path, "--ray", cluster.address)
    assert ran.returncode == 2
    assert "http://127.0.0.1:9/v1 does not answer" in ran.stderr
    assert "Traceback" not in ran.stderr + ran.stdout


def test_a_folder_that_is_put_again_is_replaced(tmp_path: Path) -> None:
    storage = Storage("memory://place", tmp_path)
    (tmp_path / "model").mkdir()
    for text in ("old", "new"):
        (tmp_path / "model" / "weights").write_text(text)
        storage.put(tmp_path / "model", "sft/model")
    storage.get("sft/model", tmp_path / "fetched")
    assert [(path.name, path.read_text()) for path in (tmp_path / "fetched").iterdir()] == [("weights", "new")]


def test_what_other_machines_serve_need_not_fit_on_this_one(write: Callable[[str, str], Path]) -> None:
    text = RECIPE.replace(
        "{scripted: script.yaml}", "{vllm: {model: bundled/smollm2-135m, replicas: 64, tensor_parallel: 8}}"
    )
    write("other.yaml", (ROOT / "tests" / "data" / "other.yaml").read_text(encoding="utf-8"))
    assert load_recipe(write("r.yaml", text), machine=Machine(serves_here=False)).models["policy"].replicas == 64


def node(name: str, alive: bool = True, **resources: float) -> dict[str, Any]:
    return {"NodeID": name, "Alive": alive, "Resources": resources}


def test_a_worker_for_each_group_of_gpus_that_a_node_holds_whole() -> None:
    nodes = [node("a", CPU=16, GPU=8), node("b", CPU=16, GPU=3), node("c", CPU=4), node("d", False, CPU=16, GPU=8)]
    assert places(nodes, 4) == [Place("a", 0, 4), Place("a", 1, 4)]
    assert len(places(nodes, 1)) == 11
    assert places(nodes, 0) == [Place("a", 0, 0), Place("b", 0, 0), Place("c", 0, 0)]
    assert places([node("a", CPU=2), node("head", CPU=0)], 2) == [Place("a", 0, 0)]
