"""Patients who chat all at once with llama.cpp's server and with Bedside's, in turns."""

import contextlib
import json
import os
import pathlib
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

BEDSIDE = pathlib.Path("target/release/bedside")
LLAMA = pathlib.Path("target/llama.cpp/bin/llama-server")
LOAD = pathlib.Path("target/release/bedside-load")
OUT = pathlib.Path("target/bench")
PATIENTS, TURNS = 8, 3
SYSTEM, QUESTION, ANSWER = 600, 120, 64
END_TOKENS = "0,2"
CONTEXT = 16384
THREADS = 2
LONGEST_START = 120
LONGEST_RUN = 1800


def compare(model: pathlib.Path, adapters: list[pathlib.Path], runs: int) -> list[dict]:
    """Every run begins with a server that was just started."""
    scenarios = [compare_scenario("one model", model, [], runs)]
    scenarios.append(compare_scenario(f"{len(adapters)} adapters", model, adapters, runs))
    return [scenario for scenario in scenarios if scenario]


def compare_scenario(name: str, model: pathlib.Path, adapters: list[pathlib.Path], runs: int) -> dict | None:
    servers = {"llama.cpp": measure_llama_cpp, "bedside": measure_bedside}
    found = {server: [] for server in servers}
    for run in range(runs):
        for server in list(servers) if run % 2 == 0 else list(servers)[::-1]:
            print(f"bench: servers: {name}: {server}, run {run + 1} of {runs}", flush=True)
            report = servers[server](model, adapters, seed=run + 1)
            if report is None:
                print(f"bench: servers: {name}: skipped, {server} does not list the adapters", flush=True)
                return None
            found[server].append(report)
    return {"scenario": name, "reports": found}


def measure_llama_cpp(model: pathlib.Path, adapters: list[pathlib.Path], seed: int) -> dict:
    port = free_port()
    command = [LLAMA, "-m", model, "--host", "127.0.0.1", "--port", port, *llama_cpp_flags()]
    choice = []
    if adapters:
        command += ["--lora", ",".join(map(str, adapters)), "--lora-init-without-apply"]
        choice = ["--lora-ids", ",".join(str(number) for number in range(len(adapters)))]
    with running(command, {}, "llama-server", f"http://127.0.0.1:{port}/health") as pid:
        return load(port, pid, seed, choice)


def llama_cpp_flags() -> list:
    """A slot for each patient; continuous batching and the prompt cache are on by default."""
    return ["-t", THREADS, "-tb", THREADS, "-np", PATIENTS, "-c", CONTEXT]


def measure_bedside(model: pathlib.Path, adapters: list[pathlib.Path], seed: int) -> dict | None:
    port = free_port()
    names = [adapter.stem for adapter in adapters]
    with tempfile.TemporaryDirectory(dir=OUT) as data:
        config = pathlib.Path(data) / "bedside.toml"
        config.write_text("".join(["[model.adapters]\n", *(f'{it.stem} = "{it.absolute()}"\n' for it in adapters)]))
        settings = {
            "BEDSIDE_DATA_DIR": data,
            "BEDSIDE_WEB__LISTEN": f"127.0.0.1:{port}",
            "BEDSIDE_MODEL__SOURCE": f"file:{model.absolute()}",
            "BEDSIDE_ENGINE__THREADS": str(THREADS),
        }
        command = [BEDSIDE, *(["--config", config] if adapters else []), "run"]
        with running(command, settings, "bedside", f"http://127.0.0.1:{port}/readyz") as pid:
            if not set(names) <= listed_models(port):
                return None
            return load(port, pid, seed, ["--models", ",".join(names)] if names else [])


def listed_models(port: int) -> set[str]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/models", timeout=10) as answer:
        return {model["id"] for model in json.load(answer)["data"]}


def load(port: int, pid: int, seed: int, choice: list) -> dict:
    command = [
        LOAD, "--json", "--base-url", f"http://127.0.0.1:{port}/v1", "--pid", pid, "--seed", seed,
        "--patients", PATIENTS, "--turns", TURNS, "--system-tokens", SYSTEM, "--question-tokens", QUESTION,
        "--answer-tokens", ANSWER, "--never", END_TOKENS, *choice,
    ]  # fmt: skip
    done = subprocess.run(
        [str(it) for it in command], check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=LONGEST_RUN
    )
    report = json.loads(done.stdout)
    if report["errors"] or report["answers"] != PATIENTS * TURNS:
        raise SystemExit(f"not every question was answered, so nothing can be compared: {report['errors']}")
    return report


@contextlib.contextmanager
def running(command: list, settings: dict, name: str, ready: str):
    """A server from its readiness on; its words are in target/bench."""
    with open(OUT / f"{name}.log", "w") as log:
        process = subprocess.Popen([str(it) for it in command], env=os.environ | settings, stdout=log, stderr=log)
        try:
            wait_until_ready(process, ready)
            yield process.pid
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def wait_until_ready(process: subprocess.Popen, url: str) -> None:
    end = time.monotonic() + LONGEST_START
    while time.monotonic() < end:
        if process.poll() is not None:
            raise SystemExit(f"{process.args[0]} ended with {process.returncode}: see {OUT}")
        try:
            urllib.request.urlopen(url, timeout=2).close()
            return
        except (urllib.error.URLError, TimeoutError):
            time.sleep(0.1)
    raise SystemExit(f"{url} was never ready")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
