"""The git repository that harnesses grow in: a branch per run, a commit per generation, nothing ever lost."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import re
import shutil
import tarfile
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sia_tui.harness.plumbing import Plumbing, RepositoryError
from sia_tui.harness.worktree import follow, is_tied, tie, untie

__all__ = ["SEED_DATE", "Change", "HarnessRepository", "PatchFailed", "RepositoryError"]
MOST_PATCH = 4 << 20
"""Characters: as much as a whole agent's folder may hold."""
SEED_BRANCH = "refs/heads/seed"
SEED_DATE = "2026-01-01T00:00:00+00:00"
AGAIN_S = 1.0


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
        self.git = Plumbing(root)

    @classmethod
    def plant(cls, root: Path, package: str, files: Mapping[str, bytes]) -> tuple[HarnessRepository, str]:
        """Open or make the repository; on the seed branch the package is made of these files, and others stay as they
        are. Returns it and the seed commit."""
        repository = cls(root)
        repository._init()
        head = repository.git.resolve(SEED_BRANCH)
        with repository.git.index() as index:
            if head is not None:
                repository.git.run("read-tree", head, env=index)
            repository.git.run("rm", "-r", "-q", "-f", "--cached", "--ignore-unmatch", "--", package, env=index)
            for name, content in sorted(files.items()):
                blob = repository.git.write_blob(content)
                repository.git.run("update-index", "--add", "--cacheinfo", f"100644,{blob},{package}/{name}", env=index)
            tree = repository.git.run("write-tree", env=index)
        if head is None or repository.git.resolve(f"{head}^{{tree}}") != tree:
            seed = repository.git.commit_tree(tree, head, "Seed harnesses\n", SEED_DATE)
            repository.git.swap(SEED_BRANCH, head, seed)
            repository.git.run("reset", "-q", "--hard", "seed")
        return repository, repository.git.must(SEED_BRANCH)

    @staticmethod
    def package_in(folder: Path) -> dict[str, bytes]:
        """The files of a package on disk, by their names in it."""
        found = (path for path in sorted(folder.rglob("*")) if path.is_file() and "__pycache__" not in path.parts)
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}

    def start_run(self, run: str, commit: str, worktree: Path) -> None:
        """A branch at `commit`, checked out at `worktree`. A second time changes nothing."""
        branch = f"refs/heads/{run}"
        if self.git.resolve(branch) is None:
            self.git.swap(branch, None, commit)
        self.tie(run, worktree, commit)

    def tie(self, run: str, worktree: Path, commit: str) -> None:
        """Have the worktree be this repository's, also where a copied or moved workspace took it from another's. Its files
        stay; `commit` is what they were made from."""
        tie(self.git, self.root, run, worktree, commit)

    def is_tied(self, worktree: Path) -> bool:
        """Whether git in the worktree works on this repository."""
        return is_tied(self.root, worktree)

    def forget_run(self, run: str, worktree: Path) -> None:
        """Delete the run's worktree, branch, tags and notes; commits that another run shares stay. Repeatable.
        Raises OSError, RepositoryError."""
        if worktree.exists():
            shutil.rmtree(worktree)
        untie(self.root, run)
        self.git.run("worktree", "prune")
        refs = self.git.run("for-each-ref", "--format=%(refname)", f"refs/heads/{run}", f"refs/tags/{run}/")
        for ref in (*refs.splitlines(), f"refs/notes/sia/{run}"):
            self.unmark(ref)

    def resolve(self, name: str) -> str | None:
        """The object that git knows by this name, if there is one."""
        return self.git.resolve(name)

    def subtree(self, commit: str, package: str) -> str:
        """Tree id of a task's package: what `harness` means in a generation."""
        return self.git.must(f"{commit}:{package}")

    def files(self, commit: str, package: str) -> dict[str, str]:
        """Text files of the package as {path: text}."""
        names = self.git.run("ls-tree", "-r", "--name-only", f"{commit}:{package}").splitlines()
        return {name: self.git.show(f"{commit}:{package}/{name}") for name in names}

    def generation(self, commit: str) -> dict[str, Any]:
        """What `commit_generation` wrote into generation.json."""
        return dict(json.loads(self.git.show(f"{commit}:generation.json")))

    def tree_of(self, base: str, package: str, files: Mapping[str, str]) -> str:
        """The tree of `base` with the package holding exactly `files`."""
        with self.git.index() as index:
            self.git.run("read-tree", base, env=index)
            self.git.run("rm", "-r", "-q", "-f", "--cached", "--ignore-unmatch", "--", package, env=index)
            for path, text in sorted(files.items()):
                blob = self.git.write_blob(text.encode())
                self.git.run("update-index", "--add", "--cacheinfo", f"100644,{blob},{package}/{path}", env=index)
            return self.git.run("write-tree", env=index)

    def patched_tree(self, base: str, package: str, patch: str, surface: tuple[str, ...]) -> str:
        """The tree of `base` with `patch` (paths relative to the package) applied. Raises PatchFailed."""
        if len(patch) > MOST_PATCH:
            raise PatchFailed(f"is {len(patch) / 1e6:.1f} MB long; at most {MOST_PATCH / 1e6:.1f} MB are read")
        with (
            self.git.index() as index,
            tempfile.NamedTemporaryFile("w", suffix=".patch", encoding="utf-8", errors="replace") as file,
        ):
            file.write(patch)
            file.flush()
            self.git.run("read-tree", base, env=index)
            try:
                self.git.run("apply", "--cached", f"--directory={package}", "--whitespace=nowarn", file.name, env=index)
            except RepositoryError as error:
                raise PatchFailed(f"does not apply: {error}") from error
            tree = self.git.run("write-tree", env=index)
        changes = self._changes(self.git.must(f"{base}^{{tree}}"), tree)
        for change in changes:
            _require_allowed(change, package, surface)
        if any(change.status == "A" for change in changes):
            self._require_apart(tree)
        return tree

    def _require_apart(self, tree: str) -> None:
        """No two names that are one where case does not count."""
        seen: dict[str, str] = {}
        for path in self.git.run("ls-tree", "-r", "-t", "--name-only", tree).splitlines():
            if (other := seen.setdefault(path.casefold(), path)) != path:
                raise PatchFailed(f"makes {path} beside {other}, which are one file where case does not count")

    def commit_generation(
        self, tree: str, generation: Mapping[str, Any], parent: str, message: str, trailers: Mapping[str, str], at: str
    ) -> str:
        """A commit of `tree` plus generation.json. The same arguments give the same commit id."""
        with self.git.index() as index:
            self.git.run("read-tree", tree, env=index)
            blob = self.git.write_blob((json.dumps(generation, indent=2, sort_keys=True) + "\n").encode())
            self.git.run("update-index", "--add", "--cacheinfo", f"100644,{blob},generation.json", env=index)
            full = self.git.run("write-tree", env=index)
        foot = "\n".join(f"{name}: {' '.join(value.split())}" for name, value in trailers.items())
        return self.git.commit_tree(full, parent, f"{message.strip()}\n\n{foot}\n", at)

    def mark(self, ref: str, commit: str) -> None:
        """Keep a commit reachable under this name, whatever becomes of it."""
        self.git.run("update-ref", ref, commit)

    def unmark(self, ref: str) -> None:
        """Repeatable."""
        if self.git.resolve(ref) is not None:
            self.git.run("update-ref", "-d", ref)

    def move(self, run: str, old: str, new: str) -> None:
        """Compare-and-swap the run's branch; done already is fine. Raises RepositoryError if it stands elsewhere."""
        branch = f"refs/heads/{run}"
        if self.git.resolve(branch) != new:
            self.git.swap(branch, old, new)

    def follow(self, worktree: Path, old: str, new: str) -> bool:
        """Bring a worktree that shows `old`, or is half way from there, to `new`. False, and untouched, if a person has edits
        in it, or it is not this repository's."""
        return self.is_tied(worktree) and follow(self.git, worktree, old, new)

    def laid_out(self, worktree: Path) -> str | None:
        """Tree id of what git last put into this repository's worktree, with what a person staged since; None of another's,
        and amid a merge or a git of theirs."""
        with contextlib.suppress(RepositoryError):
            return self.git.run("-C", str(worktree), "write-tree").strip() if self.is_tied(worktree) else None
        return None

    def note(self, run: str, commit: str, text: str) -> None:
        """Replace the note that `git log` shows below the commit; one that says so already stays."""
        if self.noted(run, commit) != text.strip():
            with tempfile.NamedTemporaryFile("w", encoding="utf-8", errors="replace") as file:
                file.write(text)
                file.flush()
                self.git.run("notes", f"--ref=sia/{run}", "add", "-f", "-F", file.name, commit)

    def noted(self, run: str, commit: str) -> str | None:
        """The note that stands below a commit, without the space around it."""
        try:
            return self.git.run("notes", f"--ref=sia/{run}", "show", commit)
        except RepositoryError:
            return None

    def check(self) -> None:
        """Every object that a ref leads to is there and is what its name says. Raises RepositoryError.

        Looked at once more where something is wrong: git takes what another engine is just writing for broken.
        """
        look = ("fsck", "--full", "--no-dangling", "--no-progress")
        try:
            self.git.run(*look)
        except RepositoryError:
            time.sleep(AGAIN_S)
            self.git.run(*look)

    def snapshot(self, commit: str, package: str, folder: Path) -> Path:
        """The package's files at `folder/<tree id>`, written once. Raises RepositoryError where they are others by now."""
        target = folder / self.subtree(commit, package)
        if target.exists():
            self._require_intact(target, commit, package)
            return target
        folder.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(dir=folder, prefix="part-"))
        try:
            archive = self.git.raw("archive", "--format=tar", f"{commit}:{package}")
            _unpack(archive, part)
            with contextlib.suppress(FileExistsError):
                part.rename(target)
        finally:
            shutil.rmtree(part, ignore_errors=True)
        return target

    def _require_intact(self, folder: Path, commit: str, package: str) -> None:
        lines = self.git.run("ls-tree", "-r", "-z", f"{commit}:{package}").split("\0")
        committed = {line.split("\t", 1)[1]: line.split()[2] for line in lines if line}
        found = (path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())
        if committed != {path.relative_to(folder).as_posix(): _blob_id(path.read_bytes()) for path in found}:
            raise RepositoryError(f"{folder} is not what was committed; delete it and resume: it is made again")

    def pack(self, refs: Mapping[str, str], out: Path) -> None:
        """These refs at these commits, with all they lead to, as one file; where the repository's own refs stand by now
        makes no difference."""
        objects = self.root / self.git.run("rev-parse", "--git-path", "objects")
        with tempfile.TemporaryDirectory(prefix="sia-pack-") as folder:
            aside = HarnessRepository(Path(folder))
            aside.git.run("init", "-q", "--bare")
            (aside.root / "objects" / "info" / "alternates").write_text(f"{objects}\n")
            for ref, commit in refs.items():
                aside.mark(ref, commit)
            aside.git.run("bundle", "create", "-q", str(out), "--all")

    def packed(self, out: Path) -> dict[str, str]:
        """The refs in what `pack` wrote; none where there is no such file, or a damaged one."""
        try:
            lines = self.git.run("bundle", "list-heads", str(out)).splitlines()
        except RepositoryError:
            return {}
        heads = {ref: commit for commit, ref in (line.split(" ", 1) for line in lines)}
        return {ref: commit for ref, commit in heads.items() if ref != "HEAD"}

    def unpack(self, packed: Path) -> None:
        """Make the repository of what `pack` wrote. Raises RepositoryError for objects that are damaged."""
        self.root.mkdir(parents=True)
        self.git.run("init", "-q", "--bare")
        for ref, commit in self._unbundled(packed).items():
            self.mark(ref, commit)

    def take_in(self, packed: Path, refs: Mapping[str, str]) -> None:
        """These refs at these commits, out of what `pack` wrote; the repository is made where there is none. Raises
        RepositoryError for one that stands elsewhere here, or whose commit is not there, before any is set."""
        for ref, commit in refs.items():
            if self.root.is_dir() and self.git.resolve(ref) not in (None, commit):
                raise RepositoryError(f"{ref} stands elsewhere in {self.root} already")
        fresh = self._init()
        found = self._unbundled(packed)
        if missing := [commit for commit in refs.values() if self.git.resolve(f"{commit}^{{commit}}") is None]:
            raise RepositoryError(f"{packed.name} lacks the commit {missing[0][:10]}")
        for ref, commit in refs.items():
            self.mark(ref, commit)
        if fresh and SEED_BRANCH in found:
            self.mark(SEED_BRANCH, found[SEED_BRANCH])
            self.git.run("reset", "-q", "--hard", "seed")

    def _init(self) -> bool:
        """Whether there was none. It has every run's harness: others have no business in it."""
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        if (self.root / ".git").exists():
            return False
        self.git.run("init", "-q", "--initial-branch=seed")
        self.git.run("config", "notes.displayRef", "refs/notes/sia/*")
        return True

    def _unbundled(self, packed: Path) -> dict[str, str]:
        """The bundle's objects come in; its refs do not."""
        lines = self.git.run("-c", "transfer.fsckObjects=true", "bundle", "unbundle", str(packed)).splitlines()
        return {ref: commit for commit, ref in (line.split(" ", 1) for line in lines)}

    def diff(self, old: str, new: str, package: str | None = None) -> str:
        """Unified diff between two commits, of one package if named."""
        return self.git.run("diff", "--no-color", "--no-ext-diff", old, new, "--", *([package] if package else []))

    def blame(self, commit: str, package: str, path: str) -> str:
        """Which commit every line of the package's file came by, as `git blame --porcelain` says it."""
        self.git.must(f"{commit}:{package}/{path}")
        return self.git.text("blame", "--porcelain", commit, "--", f"{package}/{path}")

    def names(self) -> dict[str, str]:
        """Every tagged commit as `run/g2`."""
        pairs = self.git.run("for-each-ref", "--format=%(objectname) %(refname:lstrip=2)", "refs/tags").splitlines()
        return dict(pair.split(" ", 1) for pair in pairs)

    def series(self, commit: str, package: str, told: Mapping[str, str], folder: Path) -> list[str]:
        """Mails that `git am` takes, of every commit on the way to this one that changes the package, from the first on.
        `told`: one more line for those of these commits. The names of the files.

        Messages are other people's words, and whatever in a mail looks like a patch is one to `git am`: so they are
        rewritten, on commits that no name leads to.
        """
        chain = self.git.run("rev-list", "--reverse", commit, "--", package).splitlines()
        messages, parent = self.messages(chain), ""
        for one in chain:
            tame, at = _tame(messages[one], told.get(one, "")), self.git.run("show", "-s", "--format=%aI", one)
            parent = self.git.commit_tree(f"{one}^{{tree}}", parent or None, tame, at)
        options = ("--root", "--numbered", "--no-signature", "--no-color", "--no-ext-diff")
        self.git.run("format-patch", "-q", *options, "-o", str(folder), parent, "--", package)
        return sorted(path.name for path in folder.glob("*.patch"))

    def messages(self, commits: Sequence[str]) -> dict[str, str]:
        """What was written with these commits; those that are not there are left out."""
        there = [commit for commit in commits if self.git.resolve(f"{commit}^{{commit}}")]
        found = self.git.text("log", "--no-walk=unsorted", "--format=%H%n%B%x00", *there) if there else ""
        pairs = (one.lstrip("\n").split("\n", 1) for one in found.split("\0") if one.strip())
        return {pair[0]: pair[-1] for pair in pairs}

    def _changes(self, old: str, new: str) -> list[Change]:
        lines = self.git.run("diff-tree", "-r", "--raw", "--no-renames", old, new).splitlines()
        fields = [(line.split("\t", 1)[0].split(), line.split("\t", 1)[1]) for line in lines]
        return [Change(path, meta[1], meta[4]) for meta, path in fields]


def _blob_id(content: bytes) -> str:
    """As git names a file's content in a repository of the usual format."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


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


def _unpack(archive: bytes, folder: Path) -> None:
    """Plain files alone, that anybody may read. Python's own `filter="data"` came with 3.11.4. Raises RepositoryError."""
    folder.chmod(0o755)
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        for entry in tar:
            path = folder / entry.name
            if not path.is_relative_to(folder) or ".." in path.parts or not (entry.isreg() or entry.isdir()):
                raise RepositoryError(f"{entry.name!r} is no plain file of the package")
            if entry.isdir():
                path.mkdir(mode=0o755, exist_ok=True)
            elif (file := tar.extractfile(entry)) is not None:
                path.write_bytes(file.read())
                path.chmod(0o644)
