"""What a person has set for every run: how the window looks, which keys do what, where to be called."""

from __future__ import annotations

from pydantic import Field, ValidationError

from sia_tui.config.file import ConfigError, parse
from sia_tui.config.notify import NotifyConfig
from sia_tui.config.sections import Section
from sia_tui.core.text import one_line
from sia_tui.given import CONFIG, read_whole
from sia_tui.person import user_file


class UiConfig(Section):
    """How the window looks."""

    theme: str = "sia"
    """`sia`, `sia-light`, `sia-contrast`, `sia-colour-blind`, one of Textual's, or a file of yours in `themes/`."""
    ascii: bool = False
    """Letters in place of glyphs, lines and plots, for terminals and fonts that have none."""


class UserConfig(Section):
    """The file `config.yaml` in the user's own folder."""

    ui: UiConfig = UiConfig()
    keys: dict[str, str] = Field(default_factory=dict)
    """A binding's id and the keys for it, such as `gate.approve: A` or `app.quit: q,ctrl+q`."""
    notify: NotifyConfig | None = None
    """For every run whose own config does not say."""


def load_user() -> UserConfig:
    """As the file says, or the defaults where there is none. Raises ConfigError."""
    path = user_file()
    try:
        text = read_whole(path, CONFIG)
    except FileNotFoundError:
        return UserConfig()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read ({error})") from error
    tree = parse(text, str(path))
    try:
        return UserConfig.model_validate({} if tree is None else tree)
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(str(part) for part in fault["loc"]) or "(top)"
        said = one_line(f"{where}: {fault['msg'][0].lower()}{fault['msg'][1:]}", 600)
        raise ConfigError(f"{path}: {said}") from None
