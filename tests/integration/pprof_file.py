"""A small independent reader of pprof's profile.proto, so that our files are not judged by our own reader."""

import gzip
import pathlib

SCHEMA = {  # message: {field number: (name, kind)}; kinds: i integer, s bytes, [i]/[m] repeated, message name
    "Profile": {1: ("sample_type", ["ValueType"]), 2: ("sample", ["Sample"]), 3: ("mapping", ["Mapping"]),
                4: ("location", ["Location"]), 5: ("function", ["Function"]), 6: ("string_table", ["s"]),
                9: ("time_nanos", "i"), 10: ("duration_nanos", "i"), 11: ("period_type", "ValueType"),
                12: ("period", "i"), 13: ("comment", ["i"]), 14: ("default_sample_type", "i")},
    "ValueType": {1: ("type", "i"), 2: ("unit", "i")},
    "Sample": {1: ("location_id", ["i"]), 2: ("value", ["i"]), 3: ("label", ["Label"])},
    "Label": {1: ("key", "i"), 2: ("str", "i"), 3: ("num", "i"), 4: ("num_unit", "i")},
    "Mapping": {1: ("id", "i"), 2: ("memory_start", "i"), 3: ("memory_limit", "i"), 4: ("file_offset", "i"),
                5: ("filename", "i"), 6: ("build_id", "i"), 7: ("has_functions", "i")},
    "Location": {1: ("id", "i"), 2: ("mapping_id", "i"), 3: ("address", "i"), 4: ("line", ["Line"]),
                 5: ("is_folded", "i")},
    "Line": {1: ("function_id", "i"), 2: ("line", "i"), 3: ("column", "i")},
    "Function": {1: ("id", "i"), 2: ("name", "i"), 3: ("system_name", "i"), 4: ("filename", "i"),
                 5: ("start_line", "i")},
}


class Message:
    pass


def _varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7f) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def _signed(value):
    return value - (1 << 64) if value >> 63 else value


def _parse(kind, data):
    fields = SCHEMA[kind]
    message = Message()
    for name, of in fields.values():
        setattr(message, name, [] if isinstance(of, list) else 0 if of == "i" else None)
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, at = _varint(data, at)
        elif wire == 2:
            size, at = _varint(data, at)
            value, at = data[at:at + size], at + size
            if len(value) != size:
                raise ValueError(f"{kind}.{number} ends beyond its message")
        elif wire in (1, 5):
            at += 8 if wire == 1 else 4
            continue
        else:
            raise ValueError(f"{kind}: wire type {wire}")
        if number in fields:
            _store(message, *fields[number], wire, value)
    return message


def _store(message, name, of, wire, value):
    if isinstance(of, list):
        rows = getattr(message, name)
        if of[0] == "i" and wire == 2:  # packed
            at = 0
            while at < len(value):
                number, at = _varint(value, at)
                rows.append(_signed(number))
        elif of[0] == "i":
            rows.append(_signed(value))
        elif of[0] == "s":
            rows.append(bytes(value).decode("utf-8"))
        else:
            rows.append(_parse(of[0], value))
    else:
        setattr(message, name, _signed(value) if of == "i" else _parse(of, value))


class PprofFile:
    def __init__(self, path):
        content = pathlib.Path(path).read_bytes()
        self.raw = _parse("Profile", memoryview(gzip.decompress(content)))
        self.strings = self.raw.string_table
        self.locations = {row.id: row for row in self.raw.location}
        self.functions = {row.id: row for row in self.raw.function}
        self.mappings = {row.id: row for row in self.raw.mapping}
        self.types = [f"{self.strings[t.type]}/{self.strings[t.unit]}" for t in self.raw.sample_type]
        self.samples = self.raw.sample

    def comments(self):
        return [self.strings[index] for index in self.raw.comment]

    def index_of(self, sample_type):
        return next(i for i, name in enumerate(self.types) if name.split("/")[0] == sample_type)

    def labels(self, sample):
        return {self.strings[row.key]: self.strings[row.str] if row.str else row.num for row in sample.label}

    def total(self, sample_type):
        index = self.index_of(sample_type)
        return sum(sample.value[index] for sample in self.samples)

    def mapping_of(self, location):
        return self.mappings.get(location.mapping_id)

    def module_of(self, location):
        mapping = self.mapping_of(location)
        return self.strings[mapping.filename] if mapping else ""

    def file_offset_of(self, location):
        mapping = self.mapping_of(location)
        return location.address - mapping.memory_start + mapping.file_offset if mapping else None

    def symbol_of(self, location):
        """The linker symbol that holds the address: of the outermost line, which is no inlined frame."""
        if not location.line:
            return None
        function = self.functions[location.line[-1].function_id]
        return self.strings[function.system_name] or self.strings[function.name]

    def problems(self):
        """What a strict reader would object to; an empty list is good."""
        found = []
        if not self.strings or self.strings[0] != "":
            found.append("string_table[0] is not empty")
        for kind in ("location", "function", "mapping"):
            rows = getattr(self.raw, kind)
            identifiers = [row.id for row in rows]
            if 0 in identifiers or len(set(identifiers)) != len(identifiers):
                found.append(f"{kind}: an id is 0 or not unique")
        for location in self.raw.location:
            mapping = self.mappings.get(location.mapping_id)
            if location.mapping_id and mapping is None:
                found.append(f"location {location.id}: no mapping {location.mapping_id}")
            if mapping is not None and location.address and not (
                    mapping.memory_start <= location.address < mapping.memory_limit):
                found.append(f"location {location.id}: {location.address:#x} lies outside of its mapping")
            for line in location.line:
                if line.function_id not in self.functions:
                    found.append(f"location {location.id}: no function {line.function_id}")
        for sample in self.samples:
            if len(sample.value) != len(self.types):
                found.append("a sample has another number of values than there are types")
            if any(number not in self.locations for number in sample.location_id):
                found.append("a sample names a location that is not there")
        return found
