"""frog --completion: a script for a shell that knows all verbs, choices and options; no key waits for Python."""

from __future__ import annotations

import pkgutil
import shlex
from collections.abc import Callable, Sequence

from pydantic import BaseModel

from frog_cli import verbs
from frog_cli.data.locations import FILES
from frog_cli.errors import RequestError
from frog_cli.reproduction import targets
from frog_cli.settings import composing, option_help
from frog_cli.settings.schema import ClassificationRun, FunctionRun
from frog_cli.settings.verb_options import Bench, Quality, RequestOptions, Search, Slurm

HELP = """usage: frog --completion bash|zsh|fish

Print what lets a shell complete verbs, choices, options and their values; it is made anew when frog has changed.
  source <(frog --completion bash)                                        # in ~/.bashrc
  source <(frog --completion zsh)                                         # in ~/.zshrc, behind compinit
  frog --completion fish > ~/.config/fish/completions/frog.fish
"""


def help_text() -> str:
    """Return the usage."""
    return HELP


def main(arguments: Sequence[str]) -> int:
    """Carry out `frog --completion` and return its exit status."""
    if len(arguments) != 1 or arguments[0] not in SCRIPTS:
        raise RequestError(" ".join(["--completion", *arguments]), f"needs one of {', '.join(SCRIPTS)}")
    names = [module.name for module in pkgutil.iter_modules(verbs.__path__) if module.name != "completion"]
    print(SCRIPTS[arguments[0]]({verb: words(verb) for verb in names}), end="")
    return 0


def words(verb: str) -> list[str]:
    """Return all words that may stand behind a verb; options end in = or have their value."""
    if verb in ("reproduce", "table", "plot"):
        names = [*targets.names(), "all", "scale=laptop", "scale=smoke"]
        return {"reproduce": [*names, "--list", "workers="], "table": ["runs", *names, "--html"]}.get(verb, names)
    if verb == "evaluate":
        of_run = [word for word in _of_training() if word.startswith(("data=", "data.", "device="))]
        return ["which=best", "which=last", *of_run]
    if verb == "submit":
        return ["--dry-run", *_options(Slurm, "slurm."), "train", "search", "reproduce", *words("search")]
    own = {"search": _options(Search, "search."), "bench": _options(Bench, "bench."), "quality": _options(Quality)}
    if verb in ("train", "search", "bench", "quality", "info"):
        return list(dict.fromkeys(["-m", *_of_training(), *own.get(verb, [])]))
    return [*FILES] if verb == "data" else []


def _of_training() -> list[str]:
    """Return the choices and options of frog train."""
    choices = [f"{group}={name}" for group, names in composing.groups("train").items() for name in names]
    found = [word for schema in (ClassificationRun, FunctionRun, RequestOptions) for word in _options(schema)]
    groups = tuple(f"{group}=" for group in composing.groups("train"))
    return list(dict.fromkeys([*choices, *(word for word in found if not word.startswith(groups))]))


def _options(schema: type[BaseModel], prefix: str = "") -> list[str]:
    """Return the options of a schema, with each of their values if these are words."""
    return [f"{prefix}{name}={value}" for name, values in option_help.every_option(schema) for value in values or [""]]


def _cases(known: dict[str, list[str]], case: str) -> str:
    return "\n".join(case.format(verb=verb, words=shlex.quote(" ".join(of_verb))) for verb, of_verb in known.items())


def _bash(known: dict[str, list[str]]) -> str:
    return f"""# completion of frog for bash
_frog() {{
  local line="${{COMP_LINE:0:COMP_POINT}}" current words
  current="${{line##*[[:space:]]}}"
  if [[ "$line" != *[[:space:]]*[[:space:]]* ]]; then words={shlex.quote(" ".join(known))}
  else
    read -r _ verb _ <<< "$line"
    case "$verb" in
{_cases(known, "      {verb}) words={words} ;;")}
    esac
  fi
  COMPREPLY=($(compgen -W "$words" -- "$current"))
  [[ ${{#COMPREPLY[@]}} -eq 1 && "${{COMPREPLY[0]}}" == *= ]] && compopt -o nospace
  # a shell that breaks words at = replaces what is behind it alone
  [[ "$COMP_WORDBREAKS" == *=* && "$current" == *=* ]] && COMPREPLY=("${{COMPREPLY[@]#"${{current%=*}}="}}")
  return 0
}}
complete -o default -F _frog frog
"""


def _zsh(known: dict[str, list[str]]) -> str:
    return f"""#compdef frog
# completion of frog for zsh
_frog() {{
  local words_of_verb
  if (( CURRENT == 2 )); then words_of_verb={shlex.quote(" ".join(known))}
  else
    case "$words[2]" in
{_cases(known, "      {verb}) words_of_verb={words} ;;")}
    esac
  fi
  local -a options values
  options=(${{(M)${{=words_of_verb}}:#*=}})
  values=(${{${{=words_of_verb}}:#*=}})
  compadd -S '' -a options
  compadd -a values
  (( $#words_of_verb )) || _files
}}
compdef _frog frog
"""


def _fish(known: dict[str, list[str]]) -> str:
    verbs = shlex.quote(" ".join(known))
    lines = ["# completion of frog for fish", f"complete -c frog -f -n __fish_use_subcommand -a {verbs}"]
    for verb, of_verb in known.items():
        if of_verb:
            seen = shlex.quote(f"__fish_seen_subcommand_from {verb}")
            lines.append(f"complete -c frog -f -n {seen} -a {shlex.quote(' '.join(of_verb))}")
    return "\n".join([*lines, ""])


SCRIPTS: dict[str, Callable[[dict[str, list[str]]], str]] = {"bash": _bash, "zsh": _zsh, "fish": _fish}
