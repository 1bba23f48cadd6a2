"""Names of files in a source: which are images, which are left out and why, which are archives.

A path is taken below the source's root: hidden is what lies in a hidden folder *there*, wherever the root itself is.
"""

from __future__ import annotations

import posixpath
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

READ = "png apng jpg jpeg jpe jfif webp bmp dib tif tiff gif ppm pgm pnm avif jp2"
EXTENSIONS = frozenset(f".{ending}" for ending in READ.split())
"""Names of image files end in one of these, in small or capital letters."""
OTHERS = (
    "heic heif hif jxl jxr psd svg svgz tga exr hdr dds ico icns pcx qoi sgi xbm xpm eps pbm pfm pam j2k j2c jpc jpf "
    "jpx dng raw cr2 cr3 nef arw orf rw2 raf fits dcm dicom"
)
NOT_READ = frozenset(f".{ending}" for ending in OTHERS.split())
"""Names of image files that are not read end in one of these: they are counted as left out."""
ZSTANDARD = (".tar.zst", ".tzst")
TARS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", *ZSTANDARD)
ARCHIVES = (*TARS, ".zip")
STORAGE = "@eadir @recycle @recently-snapshot #recycle #snapshot __macosx lost+found $recycle.bin recycler thumbs.db"
SYSTEM = frozenset({*STORAGE.split(), "system volume information"})
"""What operating systems and storage boxes put beside one's files, apart from what starts with a dot."""
ALL = "all"
LABELS = "dataset.json"
"""What StyleGAN's and EDM's tools call the file that tells the classes of images."""
MOST_ENDINGS = 8
OTHER_ENDINGS = "of other endings (no image)"


class Sifted(NamedTuple):
    """The names of images, and how many others are left out, by reason."""

    names: list[str]
    left_out: Mapping[str, int]


def sift(paths: Iterable[str], only: str | None = None) -> Sifted:
    """Tell the images among files, and count the others, but for hidden ones that are no images either.

    Args:
        paths: of the files, below the source's root.
        only: the one ending to take, e.g. ``"png"`` or ``"cond.png"``; None or ``"all"`` takes all.

    Example:
        >>> sift(["a/b.JPG", "a/b.txt", "a/c.heic", "__MACOSX/b.jpg", "a/.DS_Store"])
        Sifted(names=['a/b.JPG'], left_out={'.heic (not read)': 1, 'hidden (__MACOSX)': 1, '.txt (no image)': 1})
    """
    images, reasons, no_images = [], Counter[str](), Counter[str]()
    for path in paths:
        reason = why_not(path)
        if reason is None:
            no_images.update(filter(None, [_no_image(path)]))
            continue
        if reason == "" and only not in (None, ALL, ending := sample_of(path)[1]):
            reason = f".{ending} (not .{only})"
        if reason:
            reasons[reason] += 1
        else:
            images.append(path)
    told_apart = Counter(dict(no_images.most_common(MOST_ENDINGS)))
    others = {OTHER_ENDINGS: no_images.total() - told_apart.total()} if len(no_images) > MOST_ENDINGS else {}
    return Sifted(images, {**dict(sorted(reasons.items())), **dict(sorted(told_apart.items())), **others})


def _no_image(path: str) -> str:
    """Return why a file that is no image is left out; empty for what nobody looks for: hidden, or read beside images.

    Example:
        >>> _no_image("a/b.json"), _no_image("a/.DS_Store"), _no_image("dataset.json"), _no_image("LICENSE")
        ('.json (no image)', '', '', 'without ending (no image)')
    """
    if path.endswith("/") or hidden_part(path) or posixpath.normpath(path) == LABELS:
        return ""
    return f"{posixpath.splitext(path)[1].lower() or 'without ending'} (no image)"


def why_not(path: str) -> str | None:
    """Return why the image at a path is left out, empty where it is not; None for a file that is no image."""
    suffix = posixpath.splitext(path)[1].lower()
    if suffix not in EXTENSIONS and suffix not in NOT_READ:
        return None
    return why_hidden(path) or (f"{suffix} (not read)" if suffix in NOT_READ else "")


def why_hidden(path: str) -> str:
    """Return why a file counts as hidden; empty where it does not.

    Example:
        >>> why_hidden("a/@eaDir/b.mp4"), why_hidden("a/._b.mp4"), why_hidden("a/b.mp4")
        ('hidden (@eaDir)', 'hidden (by their names)', '')
    """
    hidden = hidden_part(path)
    return f"hidden ({hidden if hidden != posixpath.basename(path) else 'by their names'})" if hidden else ""


def is_image(path: str) -> bool:
    """Return whether a path inside a folder or an archive is that of an image; hidden ones are not.

    Example:
        >>> is_image("a/b.JPG"), is_image("a/b.txt"), is_image("__MACOSX/b.jpg"), is_image("./a.png")
        (True, False, False, True)
    """
    return why_not(path) == ""


def is_archive(path: str) -> bool:
    """Return whether a path is that of a zip or tar archive; hidden ones are not."""
    return path.lower().endswith(ARCHIVES) and not hidden_part(path)


def hidden_part(path: str) -> str:
    """Return the first part of a path that hides what is there; empty where none does.

    Example:
        >>> hidden_part("a/@eaDir/b.jpg"), hidden_part("../a/./b.jpg")
        ('@eaDir', '')
    """
    parts = (part for part in path.split("/") if part not in ("", ".", ".."))
    return next((part for part in parts if part.startswith(".") or part.lower() in SYSTEM), "")


def sample_of(path: str) -> tuple[str, str]:
    """Return the key of the webdataset sample that a file belongs to, and the ending that tells it from the others.

    The key reaches to the first dot after the last slash. Where a number stands between dots, the dots are the name's
    own, as in ``cat.0001.jpg``.

    Example:
        >>> sample_of("a.b/x.png"), sample_of("a.b/x.cond.PNG"), sample_of("cat.0001.jpg")
        (('a.b/x', 'png'), ('a.b/x', 'cond.png'), ('cat.0001', 'jpg'))
    """
    folder, name = posixpath.split(path)
    stem, _, ending = name.partition(".")
    if any(part[:1].isdigit() for part in ending.split(".")[:-1]):
        stem, _, ending = name.rpartition(".")
    return posixpath.join(folder, stem), ending.lower()


def is_choice(text: str) -> bool:
    """Return whether a text behind a source's colon chooses among its files, e.g. ``cond.png``, ``tar``, ``all``.

    Example:
        >>> is_choice("cond.png"), is_choice("tar"), is_choice("all"), is_choice("train")
        (True, True, True, False)
    """
    return text == ALL or ("/" not in text and f".{text}".lower().endswith((*EXTENSIONS, *ARCHIVES)))


def told(left_out: Mapping[str, int]) -> str:
    """Return what is left out as a line; empty where nothing is.

    Example:
        >>> told({".heic (not read)": 3, "hidden (@eaDir)": 1})
        'left out: 3 .heic (not read), 1 hidden (@eaDir)'
    """
    return "left out: " + ", ".join(f"{count:,} {reason}" for reason, count in left_out.items()) if left_out else ""
