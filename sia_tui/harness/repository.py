"""The git repository that harnesses grow in: a branch per run, a commit per generation, nothing ever lost.

GitPython is used only to run git (`Git.execute` keeps no helper processes open); trees are built through a private
index file, so no working copy is needed and a crash leaves nothing half-applied. The user's git configuration and
hooks play no part.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import re
import shutil
import tarfile
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from git.cmd import Git
from git.exc import GitCommandError

DEADLINE_S = 60.0
MOST_PATCH = 4 << 20
"""Characters: as much as a whole agent's folder may hold."""
LOCKED_S, LOCK_POLL_S = 3.0, 0.1
"""How long another git is waited for."""
_LOCKED = re.compile(r"'(?P<path>[^']+\.lock)': File exists")
SEED_BRANCH = "refs/heads/seed"
SEED_DATE = "2026-01-01T00:00:00+00:00"
_AUTHOR = {"NAME": "sia-tui", "EMAIL": "sia-tui@localhost"}
_SETTINGS = (
    "core.hooksPath=/dev/null",
    "protocol.allow=never",
    "core.autocrlf=false",
    "commit.gpgSign=false",
    "core.quotePath=false",
    "gc.auto=0",
)


class RepositoryError(Exception):
    """Git refused; the message is its last line."""


class PatchFailed(RepositoryError):
    """A patch that does not apply or touches what it may not."""


@dataclass(frozen=True)
class Change:
    """One file of a commit against its parent."""

    path: str
    mode: str
    status: str


class HarnessRepository:
    """`WORKSPACE/harness`, grown from the project's harness_repo/."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._git = Git(str(root))

    @classmethod
    def plant(cls, root: Path, package: str, files: Mapping[str, bytes]) -> tuple[HarnessRepository, str]:
        """Open or make the repository; on the seed branch the package is made of these files, and others stay as they
        are. Returns it and the seed commit."""
        repository = cls(root)
        repository._init()
        head = repository.resolve(SEED_BRANCH)
        with repository._index() as index:
            if head is not None:
                repository._run("read-tree", head, env=index)
            repository._run("rm", "-r", "-q", "-f", "--cached", "--ignore-unmatch", "--", package, env=index)
            for name, content in sorted(files.items()):
                blob = repository._write_blob(content)
                repository._run("update-index", "--add", "--cacheinfo", f"100644,{blob},{package}/{name}", env=index)
            tree = repository._run("write-tree", env=index)
        if head is None or repository.resolve(f"{head}^{{tree}}") != tree:
            seed = repository._commit_tree(tree, head, "Seed harnesses\n", SEED_DATE)
            repository._swap(SEED_BRANCH, head, seed)
            repository._run("reset", "-q", "--hard", "seed")
        return repository, repository._must(SEED_BRANCH)

    @staticmethod
    def package_in(folder: Path) -> dict[str, bytes]:
        """The files of a package on disk, by their names in it."""
        found = (path for path in sorted(folder.rglob("*")) if path.is_file() and "__pycache__" not in path.parts)
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}

    def start_run(self, run: str, commit: str, worktree: Path) -> None:
        """A branch at `commit`, checked out at `worktree`. A second time changes nothing."""
        branch = f"refs/heads/{run}"
        if self.resolve(branch) is None:
            self._swap(branch, None, commit)
        self._run("worktree", "prune")
        if not worktree.exists():
            self._run("worktree", "add", "-q", "--force", str(worktree), run)

    def forget_run(self, run: str, worktree: Path) -> None:
        """Delete the run's worktree, branch, tags and notes; commits that another run shares stay. Repeatable."""
        if worktree.exists():
            self._run("worktree", "remove", "--force", "--force", str(worktree))
        self._run("worktree", "prune")
        refs = self._run("for-each-ref", "--format=%(refname)", f"refs/heads/{run}", f"refs/tags/{run}/")
        for ref in (*refs.splitlines(), f"refs/notes/sia/{run}"):
            if self.resolve(ref) is not None:
                self._run("update-ref", "-d", ref)

    def subtree(self, commit: str, package: str) -> str:
        """Tree id of a task's package: what `harness` means in a generation."""
        return self._must(f"{commit}:{package}")

    def files(self, commit: str, package: str) -> dict[str, str]:
        """Text files of the package as {path: text}."""
        names = self._run("ls-tree", "-r", "--name-only", f"{commit}:{package}").splitlines()
        return {name: self._show(f"{commit}:{package}/{name}") for name in names}

    def generation(self, commit: str) -> dict[str, Any]:
        """What `commit_generation` wrote into generation.json."""
        return dict(json.loads(self._show(f"{commit}:generation.json")))

    def tree_of(self, base: str, package: str, files: Mapping[str, str]) -> str:
        """The tree of `base` with the package holding exactly `files`."""
        with self._index() as index:
            self._run("read-tree", base, env=index)
            self._run("rm", "-r", "-q", "-f", "--cached", "--ignore-unmatch", "--", package, env=index)
            for path, text in sorted(files.items()):
                blob = self._write_blob(text.encode())
                self._run("update-index", "--add", "--cacheinfo", f"100644,{blob},{package}/{path}", env=index)
            return self._run("write-tree", env=index)

    def patched_tree(self, base: str, package: str, patch: str, surface: tuple[str, ...]) -> str:
        """The tree of `base` with `patch` (paths relative to the package) applied. Raises PatchFailed."""
        if len(patch) > MOST_PATCH:
            raise PatchFailed(f"is {len(patch) / 1e6:.1f} MB long; at most {MOST_PATCH / 1e6:.1f} MB are read")
        with (
            self._index() as index,
            tempfile.NamedTemporaryFile("w", suffix=".patch", encoding="utf-8", errors="replace") as file,
        ):
            file.write(patch)
            file.flush()
            self._run("read-tree", base, env=index)
            try:
                self._run("apply", "--cached", f"--directory={package}", "--whitespace=nowarn", file.name, env=index)
            except RepositoryError as error:
                raise PatchFailed(f"does not apply: {error}") from error
            tree = self._run("write-tree", env=index)
        changes = self._changes(self._must(f"{base}^{{tree}}"), tree)
        for change in changes:
            _require_allowed(change, package, surface)
        if any(change.status == "A" for change in changes):
            self._require_apart(tree)
        return tree

    def _require_apart(self, tree: str) -> None:
        """No two names that are one where case does not count."""
        seen: dict[str, str] = {}
        for path in self._run("ls-tree", "-r", "-t", "--name-only", tree).splitlines():
            if (other := seen.setdefault(path.casefold(), path)) != path:
                raise PatchFailed(f"makes {path} beside {other}, which are one file where case does not count")

    def commit_generation(
        self, tree: str, generation: Mapping[str, Any], parent: str, message: str, trailers: Mapping[str, str], at: str
    ) -> str:
        """A commit of `tree` plus generation.json. The same arguments give the same commit id."""
        with self._index() as index:
            self._run("read-tree", tree, env=index)
            blob = self._write_blob((json.dumps(generation, indent=2, sort_keys=True) + "\n").encode())
            self._run("update-index", "--add", "--cacheinfo", f"100644,{blob},generation.json", env=index)
            full = self._run("write-tree", env=index)
        foot = "\n".join(f"{name}: {' '.join(value.split())}" for name, value in trailers.items())
        return self._commit_tree(full, parent, f"{message.strip()}\n\n{foot}\n", at)

    def mark(self, ref: str, commit: str) -> None:
        """Keep a commit reachable under this name, whatever becomes of it."""
        self._run("update-ref", ref, commit)

    def move(self, run: str, old: str, new: str) -> None:
        """Compare-and-swap the run's branch; done already is fine. Raises RepositoryError if it stands elsewhere."""
        branch = f"refs/heads/{run}"
        if self.resolve(branch) != new:
            self._swap(branch, old, new)

    def follow(self, worktree: Path, old: str, new: str) -> bool:
        """Bring a worktree that shows `old` to `new`. False, and untouched, if a person has edits in it."""
        if not (worktree / ".git").exists():
            return False
        place = ("-C", str(worktree))
        try:
            self._run(*place, "diff", "--quiet", old, "--")
        except RepositoryError:
            return not self._run(*place, "diff", "--name-only", new, "--")
        self._run(*place, "reset", "-q", "--hard", new)
        return True

    def note(self, run: str, commit: str, text: str) -> None:
        """Replace the note that `git log` shows below the commit; one that says so already stays."""
        if self.noted(run, commit) != text.strip():
            with tempfile.NamedTemporaryFile("w", encoding="utf-8", errors="replace") as file:
                file.write(text)
                file.flush()
                self._run("notes", f"--ref=sia/{run}", "add", "-f", "-F", file.name, commit)

    def noted(self, run: str, commit: str) -> str | None:
        """The note that stands below a commit, without the space around it."""
        try:
            return self._run("notes", f"--ref=sia/{run}", "show", commit)
        except RepositoryError:
            return None

    def check(self) -> None:
        """Every object that a ref leads to is there and is what its name says. Raises RepositoryError."""
        self._run("fsck", "--full", "--no-dangling", "--no-progress")

    def snapshot(self, commit: str, package: str, folder: Path) -> Path:
        """The package's files at `folder/<tree id>`, written once. Raises RepositoryError where they are others by now."""
        target = folder / self.subtree(commit, package)
        if target.exists():
            self._require_intact(target, commit, package)
            return target
        folder.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(dir=folder, prefix="part-"))
        try:
            archive = self._bytes("archive", "--format=tar", f"{commit}:{package}")
            with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
                tar.extractall(part, filter="data")
            part.chmod(0o755)
            with contextlib.suppress(FileExistsError):
                part.rename(target)
        finally:
            shutil.rmtree(part, ignore_errors=True)
        return target

    def _require_intact(self, folder: Path, commit: str, package: str) -> None:
        lines = self._run("ls-tree", "-r", "-z", f"{commit}:{package}").split("\0")
        committed = {line.split("\t", 1)[1]: line.split()[2] for line in lines if line}
        found = (path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())
        if committed != {path.relative_to(folder).as_posix(): _blob_id(path.read_bytes()) for path in found}:
            raise RepositoryError(f"{folder} is not what was committed; delete it and resume: it is made again")

    def pack(self, refs: Mapping[str, str], out: Path) -> None:
        """These refs at these commits, with all they lead to, as one file; where the repository's own refs stand by now
        makes no difference."""
        objects = self.root / self._run("rev-parse", "--git-path", "objects")
        with tempfile.TemporaryDirectory(prefix="sia-pack-") as folder:
            aside = HarnessRepository(Path(folder))
            aside._run("init", "-q", "--bare")
            (aside.root / "objects" / "info" / "alternates").write_text(f"{objects}\n")
            for ref, commit in refs.items():
                aside.mark(ref, commit)
            aside._run("bundle", "create", "-q", str(out), "--all")

    def unpack(self, packed: Path) -> None:
        """Make the repository of what `pack` wrote. Raises RepositoryError for objects that are damaged."""
        self.root.mkdir(parents=True)
        self._run("init", "-q", "--bare")
        for ref, commit in self._unbundled(packed).items():
            self.mark(ref, commit)

    def take_in(self, packed: Path, refs: Mapping[str, str]) -> None:
        """These refs at these commits, out of what `pack` wrote; the repository is made where there is none. Raises
        RepositoryError for one that stands elsewhere here, or whose commit is not there, before any is set."""
        for ref, commit in refs.items():
            if self.root.is_dir() and self.resolve(ref) not in (None, commit):
                raise RepositoryError(f"{ref} stands elsewhere in {self.root} already")
        fresh = self._init()
        found = self._unbundled(packed)
        if missing := [commit for commit in refs.values() if self.resolve(f"{commit}^{{commit}}") is None]:
            raise RepositoryError(f"{packed.name} lacks the commit {missing[0][:10]}")
        for ref, commit in refs.items():
            self.mark(ref, commit)
        if fresh and SEED_BRANCH in found:
            self.mark(SEED_BRANCH, found[SEED_BRANCH])
            self._run("reset", "-q", "--hard", "seed")

    def _init(self) -> bool:
        """Whether there was none."""
        self.root.mkdir(parents=True, exist_ok=True)
        if (self.root / ".git").exists():
            return False
        self._run("init", "-q", "--initial-branch=seed")
        self._run("config", "notes.displayRef", "refs/notes/sia/*")
        return True

    def _unbundled(self, packed: Path) -> dict[str, str]:
        """The bundle's objects come in; its refs do not."""
        lines = self._run("-c", "transfer.fsckObjects=true", "bundle", "unbundle", str(packed)).splitlines()
        return {ref: commit for commit, ref in (line.split(" ", 1) for line in lines)}

    def diff(self, old: str, new: str, package: str | None = None) -> str:
        """Unified diff between two commits, of one package if named."""
        return self._run("diff", "--no-color", "--no-ext-diff", old, new, "--", *([package] if package else []))

    def blame(self, commit: str, package: str, path: str) -> str:
        """Which commit every line of the package's file came by, as `git blame --porcelain` says it."""
        self._must(f"{commit}:{package}/{path}")
        return self._text("blame", "--porcelain", commit, "--", f"{package}/{path}")

    def names(self) -> dict[str, str]:
        """Every tagged commit as `run/g2`."""
        pairs = self._run("for-each-ref", "--format=%(objectname) %(refname:lstrip=2)", "refs/tags").splitlines()
        return dict(pair.split(" ", 1) for pair in pairs)

    def series(self, commit: str, package: str, told: Mapping[str, str], folder: Path) -> list[str]:
        """Mails that `git am` takes, of every commit on the way to this one that changes the package, from the first on.
        `told`: one more line for those of these commits. The names of the files.

        Messages are other people's words, and whatever in a mail looks like a patch is one to `git am`: so they are
        rewritten, on commits that no name leads to.
        """
        chain = self._run("rev-list", "--reverse", commit, "--", package).splitlines()
        messages, parent = self.messages(chain), ""
        for one in chain:
            tame, at = _tame(messages[one], told.get(one, "")), self._run("show", "-s", "--format=%aI", one)
            parent = self._commit_tree(f"{one}^{{tree}}", parent or None, tame, at)
        options = ("--root", "--numbered", "--no-signature", "--no-color", "--no-ext-diff")
        self._run("format-patch", "-q", *options, "-o", str(folder), parent, "--", package)
        return sorted(path.name for path in folder.glob("*.patch"))

    def messages(self, commits: Sequence[str]) -> dict[str, str]:
        """What was written with these commits; those that are not there are left out."""
        there = [commit for commit in commits if self.resolve(f"{commit}^{{commit}}")]
        found = self._text("log", "--no-walk=unsorted", "--format=%H%n%B%x00", *there) if there else ""
        pairs = (one.lstrip("\n").split("\n", 1) for one in found.split("\0") if one.strip())
        return {pair[0]: pair[-1] for pair in pairs}

    def resolve(self, name: str) -> str | None:
        try:
            return self._run("rev-parse", "--verify", "--quiet", name) or None
        except RepositoryError:
            return None

    def _must(self, name: str) -> str:
        found = self.resolve(name)
        if found is None:
            raise RepositoryError(f"{name}: not in the harness repository {self.root}")
        return found

    def _changes(self, old: str, new: str) -> list[Change]:
        lines = self._run("diff-tree", "-r", "--raw", "--no-renames", old, new).splitlines()
        fields = [(line.split("\t", 1)[0].split(), line.split("\t", 1)[1]) for line in lines]
        return [Change(path, meta[1], meta[4]) for meta, path in fields]

    def _commit_tree(self, tree: str, parent: str | None, message: str, at: str) -> str:
        dates = {"GIT_AUTHOR_DATE": at, "GIT_COMMITTER_DATE": at}
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", errors="replace") as file:
            file.write(message)
            file.flush()
            return self._run("commit-tree", tree, *(("-p", parent) if parent else ()), "-F", file.name, env=dates)

    def _swap(self, ref: str, old: str | None, new: str) -> None:
        self._run("update-ref", ref, new, old or "0" * 40)

    def _write_blob(self, data: bytes) -> str:
        with tempfile.NamedTemporaryFile() as file:
            file.write(data)
            file.flush()
            return self._run("hash-object", "-w", "--no-filters", file.name)

    def _show(self, name: str) -> str:
        return self._bytes("cat-file", "blob", name).decode("utf-8", "replace")

    @contextlib.contextmanager
    def _index(self) -> Iterator[dict[str, str]]:
        with tempfile.TemporaryDirectory(prefix="sia-index-") as folder:
            yield {"GIT_INDEX_FILE": str(Path(folder) / "index")}

    def _run(self, *arguments: str, env: Mapping[str, str] | None = None) -> str:
        return self._bytes(*arguments, env=env).decode("utf-8", "replace").strip()

    def _text(self, *arguments: str) -> str:
        """As it stands, white space at its ends too."""
        return self._bytes(*arguments).decode("utf-8", "replace")

    def _bytes(self, *arguments: str, env: Mapping[str, str] | None = None) -> bytes:
        variables = [f"{name}={value}" for name, value in {**_environment(), **(env or {})}.items()]
        settings = [word for setting in _SETTINGS for word in ("-c", setting)]
        command = ["env", "-i", *variables, "git", *settings, *arguments]
        end = time.monotonic() + LOCKED_S
        while True:
            try:
                output = self._git.execute(
                    command, stdout_as_string=False, strip_newline_in_stdout=False, kill_after_timeout=DEADLINE_S
                )
                break
            except GitCommandError as error:
                said = str(error.stderr)
                if _LOCKED.search(said) is None or (not self._unlocked(said) and time.monotonic() > end):
                    raise self._refused(arguments[0], error) from error
                time.sleep(LOCK_POLL_S)
        assert isinstance(output, bytes)
        return output

    def _unlocked(self, said: str) -> bool:
        """Whether a lock that git was killed over is out of the way: no git of ours lives as long as it lay there."""
        found = _LOCKED.search(said)
        path = Path(found["path"]) if found else None
        if path is None or not path.resolve().is_relative_to(self.root.resolve()):
            return False
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > DEADLINE_S:
                path.unlink()
                return True
        return False

    def _refused(self, verb: str, error: GitCommandError) -> RepositoryError:
        if error.status == 127:
            return RepositoryError("git is not installed; get it with: apt install git")
        if found := _LOCKED.search(str(error.stderr)):
            return RepositoryError(
                f"git {verb}: {found['path']} is held by another git; end that, or delete the file if there is none"
            )
        lines = str(error.stderr).removeprefix("\n  stderr: ").strip("' \n").splitlines()
        return RepositoryError(f"git {verb}: {lines[-1].strip() if lines else 'failed'}")


def _blob_id(content: bytes) -> str:
    """As git names a file's content in a repository of the usual format."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def _environment() -> dict[str, str]:
    """All that git gets to see: nothing of the user's configuration, identity or surrounding repository."""
    people = {f"GIT_{who}_{what}": value for who in ("AUTHOR", "COMMITTER") for what, value in _AUTHOR.items()}
    return {
        **people,
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": "/nonexistent",
        "LC_ALL": "C",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_TERMINAL_PROMPT": "0",
    }


def _require_allowed(change: Change, package: str, surface: tuple[str, ...]) -> None:
    path = Path(change.path)
    if "\ufffd" in change.path or not change.path.isprintable() or change.path.startswith('"'):
        raise PatchFailed(f"touches {change.path!r}, which is no plain file name")
    if not path.is_relative_to(package) or not any(path.relative_to(package).match(glob) for glob in surface):
        raise PatchFailed(f"touches {change.path}, outside the edit surface ({', '.join(surface)} of {package}/)")
    if change.mode not in ("100644", "000000"):
        raise PatchFailed(f"makes {change.path} a file of mode {change.mode}; only plain files may be patched")


def _tame(message: str, told: str) -> str:
    """The message with all but its first line and our own trailers indented, so that nothing in it begins a patch, a
    header or another mail."""
    title, _, rest = message.strip().partition("\n")
    body, _, last = rest.strip("\n").rpartition("\n\n")
    ours = [line for line in last.split("\n") if re.match(r"(Run|Lever|Proposal): ", line)]
    kept = body if ours else rest
    indented = "\n".join(f"  {line}".rstrip() for line in kept.strip("\n").split("\n"))
    foot = "\n".join([*ours, *([told] if told else [])])
    return "\n\n".join(filter(None, (title, indented.rstrip(), foot))) + "\n"
