"""Change what a compiled AndroidManifest.xml says of an app: its package, label and version.

Only attributes that are there are changed, and nothing else of the file. The libraries that write
this format are under the GPL, and those that are not only read it; hence this small editor.
Source: ResourceTypes.h of the Android Open Source Project (ResXMLTree_node and its kin).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from mejiro.apk.strings import StringPool, read_pool, write_pool
from mejiro.errors import ApkError

_XML = 0x0003
_START_ELEMENT = 0x0102
_CHUNK = struct.Struct("<HHI")
_ELEMENT = struct.Struct("<iiHHHHHH")  # namespace, name, then where its attributes are
_ATTRIBUTE = struct.Struct("<iiiHBBI")  # namespace, name, text, size, zero, type, data
_NODE_HEADER_BYTES = 16
_TYPE_STRING = 0x03
_TYPE_DECIMAL = 0x10
MAX_BYTES = 1 << 20


@dataclass(frozen=True)
class Attribute:
    """Say what one attribute holds, and where in the file; `index` is that of its string."""

    offset: int
    element: str
    name: str
    kind: int
    index: int
    data: int


@dataclass(frozen=True)
class Identity:
    """Name what makes an app itself to Android: versions must rise, the package stays."""

    package: str
    label: str
    version_code: int
    version_name: str


def read_identity(data: bytes) -> Identity:
    """Return what a compiled manifest says. Raises ApkError for one that is damaged."""
    pool, _, body = _split(data)
    found = _find(pool, body)
    return Identity(
        package=pool.strings[found["package"].index],
        label=pool.strings[found["label"].index],
        version_code=found["versionCode"].data,
        version_name=pool.strings[found["versionName"].index],
    )


def write_identity(data: bytes, identity: Identity) -> bytes:
    """Return the compiled manifest with another identity.

    Raises ApkError if the manifest is damaged, or shares a string of its identity with something
    else, which would change as well.
    """
    pool, prefix, body = _split(data)
    found = _find(pool, body)
    texts = {
        "package": identity.package,
        "label": identity.label,
        "versionName": identity.version_name,
    }
    for name, text in texts.items():
        index = found[name].index
        users = sum(1 for attribute in _attributes(pool, body) if attribute.index == index)
        if users != 1:
            raise ApkError(f"the template's manifest uses the text of its {name} {users} times")
        pool = pool.with_string(index, text)
    changed = bytearray(body)
    code = found["versionCode"]
    _ATTRIBUTE.pack_into(
        changed,
        code.offset,
        *_ATTRIBUTE.unpack_from(body, code.offset)[:2],
        -1,
        8,
        0,
        _TYPE_DECIMAL,
        identity.version_code,
    )
    strings = write_pool(pool)
    size = len(prefix) + len(strings) + len(changed)
    return _CHUNK.pack(_XML, _CHUNK.size, size) + strings + bytes(changed)


def _split(data: bytes) -> tuple[StringPool, bytes, bytes]:
    """Return the pool of strings, what stands before it, and what follows it."""
    if len(data) > MAX_BYTES:
        raise ApkError(f"the template's manifest has {len(data)} bytes; at most {MAX_BYTES}")
    try:
        kind, header_bytes, size = _CHUNK.unpack_from(data)
        _, _, pool_bytes = _CHUNK.unpack_from(data, header_bytes)
    except struct.error:
        raise ApkError("the template's manifest is damaged: it ends too early") from None
    if kind != _XML or header_bytes != _CHUNK.size or size != len(data):
        raise ApkError("the template's manifest is not compiled XML")
    end = header_bytes + pool_bytes
    return read_pool(data[header_bytes:end]), data[:header_bytes], data[end:]


def _attributes(pool: StringPool, body: bytes) -> Iterator[Attribute]:
    at = 0
    try:
        while at < len(body):
            kind, header_bytes, size = _CHUNK.unpack_from(body, at)
            if size < _CHUNK.size or size % 4 or at + size > len(body):
                raise ApkError("the template's manifest is damaged: a part reaches beyond its end")
            if kind == _START_ELEMENT:
                yield from _of_element(pool, body, at + header_bytes, at + size)
            at += size
    except (struct.error, IndexError):
        raise ApkError("the template's manifest is damaged: it ends within a part") from None


def _of_element(pool: StringPool, body: bytes, at: int, end: int) -> Iterator[Attribute]:
    _, name, start, size, count, *_ = _ELEMENT.unpack_from(body, at)
    if size != _ATTRIBUTE.size or at + start + count * size > end:
        raise ApkError("the template's manifest is damaged: an element's attributes do not fit")
    for number in range(count):
        offset = at + start + number * size
        _, attribute, text, _, _, kind, data = _ATTRIBUTE.unpack_from(body, offset)
        yield Attribute(
            offset=offset,
            element=_string(pool, name),
            name=_string(pool, attribute),
            kind=kind,
            index=data if kind == _TYPE_STRING else text,
            data=data,
        )


def _string(pool: StringPool, index: int) -> str:
    if not 0 <= index < len(pool.strings):
        raise IndexError(index)
    return pool.strings[index]


# What makes the identity: attribute -> the element that carries it, and its kind.
_WANTED = {
    "package": ("manifest", _TYPE_STRING),
    "versionCode": ("manifest", _TYPE_DECIMAL),
    "versionName": ("manifest", _TYPE_STRING),
    "label": ("application", _TYPE_STRING),
}


def _find(pool: StringPool, body: bytes) -> dict[str, Attribute]:
    found: dict[str, Attribute] = {}
    for attribute in _attributes(pool, body):
        if _WANTED.get(attribute.name) == (attribute.element, attribute.kind):
            if attribute.kind == _TYPE_STRING and attribute.index >= len(pool.strings):
                raise ApkError("the template's manifest is damaged: a text is missing")
            found[attribute.name] = attribute
    for name in _WANTED:
        if name not in found:
            raise ApkError(f"the template's manifest does not say its {name}")
    return found
