"""The command line as a person meets it: what it prints, where, and its exit codes."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import click
import pytest

from archloom.compiler.cli import ROOT, run

COMMANDS = ROOT.list_commands(click.Context(ROOT))
GOOD = '"""doc"""\n\nmodel Tiny(d: int = 4) {\n  in x: float[B, d]\n  head = Linear(d, 2)\n  out y = head(x)\n}\n'
BAD = GOOD.replace("head(x)", "haed(x)")


def feed(monkeypatch: pytest.MonkeyPatch, text: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))


def test_both_ways_to_start_it() -> None:
    by_module = subprocess.run([sys.executable, "-m", "archloom", "--help"], capture_output=True, text=True, check=True)
    assert all(f"\n  {name} " in by_module.stdout for name in COMMANDS)
    assert by_module.stderr == ""


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_and_a_line(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([name, "--help"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"Usage: archloom {name} ")
    command = import_module(f"archloom.compiler.cli.{name}").command
    assert command.short_help
    assert command.short_help.endswith(".")


@pytest.mark.parametrize(
    "arguments",
    [
        ["chekc"],
        ["check"],
        ["check", "a.arch", "--parm", "x=1"],
        ["check", "a.arch", "--param", "x"],
        ["check", "a.arch", "--param", "x=1", "--param", "x=2"],
        ["new", "9lives"],
        ["new", "a b"],
        ["completion", "tcsh"],
    ],
    ids=" ".join,
)
def test_wrong_usage_exits_with_two(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) == 2
    shown = capsys.readouterr()
    assert shown.err.startswith("error: ")
    assert "  = usage: archloom" in shown.err
    assert shown.out == ""


def test_an_unknown_command_gets_a_suggestion(capsys: pytest.CaptureFixture[str]) -> None:
    run(["chekc"])
    assert capsys.readouterr().err == (
        "error: there is no command `chekc`; did you mean `check`?\n"
        "  = usage: archloom [OPTIONS] COMMAND [ARGS]...\n"
        "  = help: `archloom --help` says more\n"
    )


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    import archloom

    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"archloom {archloom.__version__}\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["completion", shell]) == 0
    assert "_ARCHLOOM_COMPLETE" in capsys.readouterr().out


def test_completion_completes() -> None:
    environment = {**os.environ, "_ARCHLOOM_COMPLETE": "bash_complete", "COMP_WORDS": "archloom ch", "COMP_CWORD": "1"}
    result = subprocess.run([sys.executable, "-m", "archloom"], env=environment, capture_output=True, text=True)
    assert result.stdout == "plain,check\n"


class TestNew:
    def test_writes_a_file_that_checks_and_is_laid_out(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        assert run(["new", "two-tasks"]) == 0
        text = Path("two-tasks.arch").read_text()
        assert "model TwoTasks(" in text
        assert len(text.splitlines()) == 15
        assert run(["check", "two-tasks.arch"]) == 0
        assert run(["fmt", "--check", "two-tasks.arch"]) == 0

    def test_never_overwrites(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        monkeypatch.chdir(tmp_path)
        Path("mine.arch").write_text("mine")
        assert run(["new", "mine"]) == 1
        assert capsys.readouterr().err == "error: `mine.arch` is there already: choose another name, or remove it first\n"
        assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("mine.arch", "mine")]

    def test_a_folder_that_is_missing(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert run(["new", str(tmp_path / "none" / "mine")]) == 1
        assert "can't be written: no such file or directory" in capsys.readouterr().err


class TestCheck:
    def test_a_good_file(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (tmp_path / "good.arch").write_text(GOOD)
        assert run(["check", str(tmp_path / "good.arch")]) == 0
        shown = capsys.readouterr()
        assert shown.out.startswith(f"{tmp_path}/good.arch: ok\n")
        assert shown.err == ""

    def test_a_bad_file_and_a_good_one(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (tmp_path / "a.arch").write_text(BAD)
        (tmp_path / "b.arch").write_text(GOOD)
        assert run(["check", str(tmp_path)]) == 1
        shown = capsys.readouterr().out
        assert f" --> {tmp_path}/a.arch:6:11" in shown
        assert "did you mean `head`?" in shown
        assert f"{tmp_path}/b.arch: ok" in shown

    def test_a_flood_of_errors_is_cut(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (tmp_path / "a.arch").write_text("model M {\n  in x: float[B]\n" + "".join(f"  y{i} = nothing{i}(x)\n" for i in range(300)) + "  out x\n}\n")
        assert run(["check", str(tmp_path / "a.arch")]) == 1
        shown = capsys.readouterr().out
        assert shown.count("error[") == 100
        total = int(shown.splitlines()[-1].split()[0])
        assert shown.endswith(f"{total} errors; {total - 100} are not shown\n")
        assert total >= 300

    def test_validate_is_check(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (tmp_path / "a.arch").write_text(BAD)
        shown: list[str] = []
        for name in ("check", "validate"):
            assert run([name, str(tmp_path / "a.arch")]) == 1
            shown.append(capsys.readouterr().out)
        assert shown[0] == shown[1] != ""

    def test_standard_input(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        feed(monkeypatch, BAD.encode())
        assert run(["check", "-"]) == 1
        assert " --> <stdin>:6:11" in capsys.readouterr().out

    def test_json(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (tmp_path / "a.arch").write_text(BAD)
        assert run(["check", "--json", str(tmp_path / "a.arch")]) == 1
        [entry] = json.loads(capsys.readouterr().out)
        [finding] = entry["diagnostics"]
        assert entry["file"] == finding["file"] == str(tmp_path / "a.arch")
        assert (finding["severity"], finding["line"], finding["column"], finding["end_column"]) == ("error", 6, 11, 15)

    def test_parameters(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (tmp_path / "good.arch").write_text(GOOD)
        assert run(["check", str(tmp_path / "good.arch"), "--param", "d=7"]) == 0
        assert "7" in capsys.readouterr().out
        assert run(["check", str(tmp_path / "good.arch"), "--param", "dd=7"]) == 1
        assert "did you mean `d`?" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["check", "fmt"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "error[A800]: can't read `{path}`: no such file or directory"),
        (b"\x89PNG\r\n\x1a\n\x00", "error[A802]: `{path}` isn't text: byte 0 is no UTF-8"),
        (b"model\0", "error[A803]: the file is binary: it holds a zero byte"),
        (b"#" * (2**20 + 1), "error[A801]: the file is larger than 1024 KiB"),
        (b"", "error[A804]: the file is empty"),
    ],
    ids=["missing", "binary", "zero", "long", "empty"],
)
def test_unreadable_files(command: str, content: bytes | None, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "some.arch"
    if content is not None:
        path.write_bytes(content)
    assert run([command, str(path)]) == 1
    shown = capsys.readouterr()
    assert message.format(path=path) in shown.out + shown.err
    assert " --> " in shown.out + shown.err


def test_a_missing_file_gets_a_suggestion(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "minilm.arch").write_text(GOOD)
    assert run(["check", str(tmp_path / "minlm.arch")]) == 1
    assert f"did you mean `{tmp_path}/minilm.arch`?" in capsys.readouterr().out


def test_a_folder_without_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check", str(tmp_path)]) == 1
    assert f"there is no `.arch` file in `{tmp_path}`" in capsys.readouterr().out


class TestFmt:
    UGLY = GOOD.replace("  in x:   ", "in   x :").replace("  head = Linear(d, 2)", "        head=Linear( d,2 )  # why")

    def test_rewrites_once(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        path = tmp_path / "a.arch"
        path.write_text(self.UGLY)
        path.chmod(0o640)
        assert run(["fmt", str(path)]) == 0
        assert capsys.readouterr().err == f"formatted {path}\n"
        assert path.read_text() == GOOD.replace("Linear(d, 2)", "Linear(d, 2)  # why")
        assert path.stat().st_mode & 0o777 == 0o640
        assert run(["fmt", str(path)]) == 0
        assert capsys.readouterr().err == ""
        assert [file.name for file in tmp_path.iterdir()] == ["a.arch"]

    def test_check_changes_nothing(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        path = tmp_path / "a.arch"
        path.write_text(self.UGLY)
        assert run(["fmt", "--check", str(path)]) == 1
        assert capsys.readouterr().err == f"would format {path}\n"
        assert path.read_text() == self.UGLY

    def test_standard_input(self, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
        feed(monkeypatch, self.UGLY.encode())
        assert run(["fmt", "-"]) == 0
        assert capsysbinary.readouterr().out.decode() == GOOD.replace("Linear(d, 2)", "Linear(d, 2)  # why")

    def test_a_syntax_error_leaves_the_file(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        path, other = tmp_path / "a.arch", tmp_path / "b.arch"
        path.write_text("model {")
        other.write_text(self.UGLY)
        assert run(["fmt", str(tmp_path)]) == 1
        assert " --> " in capsys.readouterr().err
        assert path.read_text() == "model {"
        assert other.read_text() != self.UGLY

    def test_an_interrupted_write_leaves_the_old_file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = tmp_path / "a.arch"
        path.write_text(self.UGLY)

        def interrupt(_: int) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(os, "fsync", interrupt)
        assert run(["fmt", str(path)]) == 130
        assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("a.arch", self.UGLY)]

    def test_a_link_stays_a_link(self, tmp_path: Path) -> None:
        (tmp_path / "real.arch").write_text(self.UGLY)
        (tmp_path / "link.arch").symlink_to("real.arch")
        assert run(["fmt", str(tmp_path / "link.arch")]) == 0
        assert (tmp_path / "link.arch").is_symlink()
        assert (tmp_path / "real.arch").read_text() != self.UGLY

    def test_windows_line_ends_are_a_difference(self, tmp_path: Path) -> None:
        path = tmp_path / "a.arch"
        path.write_bytes(GOOD.replace("\n", "\r\n").encode())
        assert run(["fmt", "--check", str(path)]) == 1
        assert run(["fmt", str(path)]) == 0
        assert path.read_bytes() == GOOD.encode()


class TestFailures:
    def test_a_fault_of_archloom_is_one_clear_message(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        def broken(*_: object) -> None:
            raise RuntimeError("two\nlines")

        monkeypatch.setattr("archloom.compiler.cli.check.find_files", broken)
        assert run(["check", "a.arch"]) == 1
        shown = capsys.readouterr().err
        assert shown.startswith("error: archloom failed at test_commands.py:")
        assert ": RuntimeError: two lines\n" in shown
        assert "Traceback" not in shown

    @pytest.mark.parametrize("error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory")])
    def test_too_little_memory_is_no_fault(self, error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        def broken(*_: object) -> None:
            raise error

        monkeypatch.setattr("archloom.compiler.cli.check.find_files", broken)
        assert run(["check", "a.arch"]) == 1
        assert capsys.readouterr().err.startswith("error: there is not enough memory for this\n  = help: make the sizes smaller")

    def test_an_interrupt_is_quiet(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        def interrupted(*_: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr("archloom.compiler.cli.check.find_files", interrupted)
        assert run(["check", "a.arch"]) == 130
        assert capsys.readouterr().err.strip() == "interrupted"

    def test_a_reader_that_goes_away(self) -> None:
        script = f"{sys.executable} -m archloom completion bash | true; echo ${{PIPESTATUS[0]}}"
        result = subprocess.run(["bash", "-c", script], capture_output=True, text=True)
        assert result.stderr == ""
        assert result.stdout.strip() in ("0", "1")


@pytest.mark.parametrize(
    "arguments",
    [["check", "t.arch"], ["check", "bad.arch"], ["fmt", "t.arch"], ["explain"], ["explain", "A301"], ["summary", "t.arch"]],
    ids=" ".join,
)
def test_torch_is_never_imported(arguments: list[str], tmp_path: Path) -> None:
    (tmp_path / "t.arch").write_text(GOOD)
    (tmp_path / "bad.arch").write_text(BAD)
    ask = "print(sorted({'torch', 'transformers', 'rich'} & set(sys.modules)))"
    code = f"import sys; from archloom.compiler.cli import run; run({arguments!r}); {ask}"
    result = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert result.stdout.splitlines()[-1] == "[]"


def test_check_says_what_no_model_elaborates(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    feed(monkeypatch, b"block A { in x: float[B]; out y = x }\nfn f(x: float[B]) { out y = x }\n")
    assert run(["check", "-"]) == 0
    left = "no model elaborates `A`, `f`: only syntax, names, types and arguments were checked"
    assert capsys.readouterr().out == f"<stdin>: ok, no model\n  {left}\n"
    feed(monkeypatch, b"block A { in x: float[B]; out y = z }\n")
    assert run(["check", "--json", "-"]) == 1
    (file,) = json.loads(capsys.readouterr().out)
    assert ([found["code"] for found in file["diagnostics"]], file["unreached"]) == (["A102"], ["A"])


def test_long_lists_of_a_report_are_folded(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    feed(monkeypatch, b"model M { in x[i in 0..60]: float[B]; out y = sum(x[*]) }")
    assert run(["check", "-"]) == 0
    shown = capsys.readouterr().out
    assert "x.49: float[B] and 10 more\n" in shown and "x.50" not in shown
