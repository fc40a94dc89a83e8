from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import click
import pytest

import penjing
from penjing.cli import main
from penjing.cli.main import VERBS, run
from shells import Shell

HEAVY = ("rich", "aiohttp", "numpy", "xllamacpp", "prompt_toolkit", "gguf", "msgspec", "uvloop", "jinja2", "psutil")


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["nonsense"]])
def test_help_imports_nothing_heavy(clean: Path, arguments: list[str]) -> None:
    code = f"import sys; from penjing.cli.main import run; run({arguments!r}); print('|', *sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = done.stdout.rpartition("|")[2].split()
    assert "click" in loaded
    assert not [name for name in loaded if name.partition(".")[0] in HEAVY]


def test_version(shell: Shell) -> None:
    assert shell("--version").out == f"penjing {penjing.__version__}\n"


def test_without_arguments_it_shows_its_help(shell: Shell) -> None:
    assert shell() == shell("--help")


@pytest.mark.parametrize("verb", ["", *VERBS])
@pytest.mark.parametrize(("language", "usage"), [("en", "Usage: "), ("zh", "用法：")])
def test_every_verb_has_a_page_in_both_languages(shell: Shell, verb: str, language: str, usage: str) -> None:
    done = shell(*verb.split(), "--help", PENJING_LANGUAGE=language)
    assert done.status == 0
    assert done.out.startswith(usage)
    assert done.err == ""


@pytest.mark.parametrize(
    ("line", "language", "sentence", "following"),
    [
        ("chta", "en", "penjing has no command 'chta'.", "Did you mean: penjing chat"),
        ("chta", "zh", "penjing 没有命令“chta”。", "是不是想用：penjing chat"),
        ("xyz", "en", "penjing has no command 'xyz'.", "penjing --help shows the commands."),
        ("serve --prot 1", "en", "penjing serve has no option --prot.", "Did you mean --port"),
        ("serve --prot 1", "zh", "penjing serve 没有选项 --prot。", "是不是想用 --port"),
        ("serve --qqqq", "en", "penjing serve has no option --qqqq.", "penjing serve --help shows its options."),
        ("serve --port", "en", "--port needs a value.", "penjing serve --help shows which."),
        ("chat --stats=3", "zh", "--stats 不带值。", "penjing chat --help 会说明用法。"),
        ("explain a b c", "en", "penjing explain does not take 'b c'.", "penjing explain --help shows what it takes."),
        ("serve --port x", "en", "Setting serve.port = 'x' (from --port) is not a whole number.", ""),
        ("serve --port x", "zh", "设置 serve.port = 'x'（来自 --port）不合要求，应为：整数。", ""),
        ("serve --threads 0", "en", "Setting engine.threads = 0 (from --threads) is not", ""),
        ("chat -p x --top-p 7", "en", "Setting chat.top_p = 7.0 (from --top-p) is not a number from 0 to 1.", ""),
        ("chat -p x --top-p 7", "zh", "（来自 --top-p）不合要求，应为：0 到 1 之间的数值。", ""),
        (
            "chat -p x --bits 7",
            "zh",
            "model.bits = 7（来自 --bits）不合要求，应为：2、3、4、5、6、8、16 或 32。",
            "",
        ),
        ("chat -p x http://x --threads 2", "en", "--threads does nothing for http://x:", "Leave --threads out"),
        ("chat -p x http://x --bits 4", "zh", "--bits 对 http://x 不起作用：服务器如何运行", "请去掉 --bits"),
        ("chat -p x http://x --no-mmap", "en", "--mmap does nothing for http://x:", "Leave --mmap out"),
        ("chat -p x --remote-key K", "en", "--remote-key does nothing for guide: it is for a URL", ""),
        ("serve --json", "en", "--json is for --explain.", "penjing serve --help shows how it is used."),
        ("serve --json", "zh", "--json 只与 --explain 同用。", "penjing serve --help 会说明用法。"),
        ("chat -p x ~nobody-here/m.gguf", "en", "~nobody-here/m.gguf: this machine has no user of that name.", "./"),
        ("serve --api-key=", "en", "An API key is empty.", "See that the variable it comes from is set"),
        ("serve --api-key a --api-key=", "zh", "有一个 API 密钥是空的。", "请确认"),
    ],
)
def test_a_wrong_command_line(shell: Shell, line: str, language: str, sentence: str, following: str) -> None:
    done = shell(*line.split(), PENJING_LANGUAGE=language)
    assert done.status == 2
    assert done.out == ""
    assert sentence in done.err
    assert following in done.err


def test_flags_alone_show_the_help(shell: Shell) -> None:
    assert shell("-q").out == shell().out


def test_a_wrong_setting_is_blamed_on_its_source(shell: Shell) -> None:
    assert "(from PENJING_MODEL_BITS)" in shell("explain", PENJING_MODEL_BITS="7").err
    Path("penjing.toml").write_text("[model]\nbits = 7\n")
    assert "(from penjing.toml:2)" in shell("explain").err


def test_wrong_settings_files_are_named(shell: Shell) -> None:
    Path("penjing.toml").write_text("[engin]\n")
    assert "Unknown option 'engin' in penjing.toml." in shell("explain").err
    Path("penjing.toml").write_text("[engine]\nthread = 3\n")
    assert "Unknown option 'thread' in penjing.toml:2." in shell("explain").err
    Path("penjing.toml").write_text("[engine\n")
    done = shell("explain", PENJING_LANGUAGE="zh")
    assert "penjing.toml 不是有效的设置文件" in done.err
    assert done.status == 2


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> type[Exception]:
    """The verb `probe` fails in a way nobody foresaw."""

    def fail(*_: object) -> click.Command:
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr(main.Penjing, "get_command", fail)
    return ZeroDivisionError


def test_what_nobody_foresaw_is_a_sentence(broken: type[Exception], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["probe"]) == 1
    error = capsys.readouterr().err
    assert "penjing made a mistake (ZeroDivisionError): by zero" in error
    assert "--debug" in error
    assert "Traceback" not in error


def test_debug_shows_where(broken: type[Exception], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["probe", "--debug"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_an_interrupt_is_130(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupt(*_: object) -> click.Command:
        raise KeyboardInterrupt

    monkeypatch.setattr(main.Penjing, "get_command", interrupt)
    assert run(["probe"]) == 130
    assert "error" not in capsys.readouterr().err


def test_a_closed_pipe_is_no_error(clean: Path) -> None:
    line = f"{sys.executable} -m penjing probe --json | true"
    done = subprocess.run(["bash", "-c", f"set -o pipefail; {line}"], capture_output=True, text=True)
    assert done.stderr == ""
    assert done.returncode == 0


def test_quiet_says_only_errors(shell: Shell) -> None:
    assert "error:" in shell("explain", "none.gguf", "--quiet").err


def test_a_question_in_the_environment(shell: Shell, tiny: Path) -> None:
    done = shell("chat", str(tiny), "--max-tokens", "1", "--json", PENJING_PROMPT="hi", given="not read")
    assert json.loads(done.out)["usage"]["completion_tokens"] == 1
    assert "empty" in shell("chat", str(tiny), PENJING_PROMPT="").err
