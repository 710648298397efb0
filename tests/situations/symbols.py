"""Situations in which a name or a line is hard to find."""

import contextlib
import http.server
import shutil
import subprocess
import threading

from situation import CHAIN, GLIBC, MARK, UNNAMED, Failed, Situation, Surroundings

# ---------------------------------------------------------------------------------------------
# Inlined frames, with file and line.

# Tools write the parameters of an inlined function or leave them out.
_ARGUMENTS = r"(?:\(unsigned long\))?"
INLINED = (rf"{GLIBC};main;outer\(unsigned long\);Middle{_ARGUMENTS};leaf\(unsigned long\);"
           rf"(?:Cart<unsigned long>::)Add{_ARGUMENTS};Innermost{_ARGUMENTS}")
LINES = (r".*;main@<inlined.cc main>;outer[^;@]*@<inlined.cc outer>;[^;@]*Middle[^;@]*@<inlined.cc middle>;"
         r"leaf[^;@]*@<inlined.cc leaf>;[^;@]*Add[^;@]*@<inlined.h add>;Innermost[^;@]*@<inlined.h innermost>")


def inlined(name, *commands, needs=("g++",), chain=INLINED, **how):
    return Situation(name, commands, chain, lines=LINES, needs=needs, **how)


def gxx(flags, compiler="g++"):
    return f"{compiler} -O2 {flags} -o {{dir}}/program {{src}}/inlined.cc"


def packed(kind, dwarf):
    return (gxx(f"-g -gdwarf-{dwarf}"), f"objcopy --compress-debug-sections={kind} {{dir}}/program")


# The parts of a package are removed, so that nothing but the package is left.
def package(compiler, dwarf, packer):
    return (gxx(f"-g -gdwarf-{dwarf} -gsplit-dwarf", compiler), f"{packer} -e {{dir}}/program -o {{dir}}/program.dwp",
            "sh -c 'rm {dir}/*.dwo'")


INLINES = (
    inlined("inlined, GCC, DWARF 5", gxx("-g -gdwarf-5")),
    inlined("inlined, GCC, DWARF 4", gxx("-g -gdwarf-4")),
    inlined("inlined, Clang, DWARF 5", gxx("-g -gdwarf-5", "clang++-14"), needs=("clang++-14",)),
    inlined("inlined, Clang, DWARF 4", gxx("-g -gdwarf-4", "clang++-14"), needs=("clang++-14",)),
    inlined("inlined, GCC -g1", gxx("-g1")),
    # Clang writes no classes at -g1: the member is plain Add there.
    inlined("inlined, Clang -g1", gxx("-g1", "clang++-14"), needs=("clang++-14",), chain=INLINED.replace("unsigned long>::)", "unsigned long>::)?")),
    inlined("inlined, 64-bit DWARF", gxx("-g -gdwarf64")),
    inlined("inlined, types in sections of their own", gxx("-g -fdebug-types-section")),
    inlined("compressed debug sections, zlib", *packed("zlib", 5), needs=("g++", "objcopy")),
    inlined("compressed debug sections, old .zdebug", *packed("zlib-gnu", 4), needs=("g++", "objcopy")),
    inlined("compressed debug sections, zstd", *packed("zstd", 5), needs=("g++", "objcopy")),
    inlined("split .dwo, GCC, DWARF 5", gxx("-g -gdwarf-5 -gsplit-dwarf")),
    inlined("split .dwo, GCC, DWARF 4", gxx("-g -gdwarf-4 -gsplit-dwarf")),
    inlined("split .dwo, Clang, DWARF 5", gxx("-g -gdwarf-5 -gsplit-dwarf", "clang++-14"), needs=("clang++-14",)),
    inlined(".dwp, index version 2", *package("g++", 4, "dwp"), needs=("g++", "dwp")),
    inlined(".dwp, index version 5", *package("clang++-14", 5, "llvm-dwp-14"), needs=("clang++-14", "llvm-dwp-14")),
    inlined("dwz with an alternate file", gxx("-g -gdwarf-4"),
            "g++ -O2 -g -gdwarf-4 -o {dir}/other {src}/inlined.cc {src}/library.c -DPREFIX=other_",
            "dwz -l none -m {dir}/common {dir}/program {dir}/other", needs=("g++", "dwz")),
    inlined("LTO, GCC", gxx("-g -flto=1")),
    inlined("LTO, Clang and lld", gxx("-g -flto -fuse-ld=lld", "clang++-14"), needs=("clang++-14", "ld.lld-14")),
)

# ---------------------------------------------------------------------------------------------
# Debug files outside of the program.

STRIP = ("g++ -O2 -g {flags} -o {dir}/full {src}/inlined.cc", "objcopy --only-keep-debug {dir}/full {dir}/program.debug",
         "objcopy --strip-all {dir}/full {dir}/program")
STRIPPED = tuple(text.replace("{flags}", "") for text in STRIP)
NO_ID = tuple(text.replace("{flags}", "-Wl,--build-id=none") for text in STRIP)
# The chain of a program of four functions that has no names at all.
NAMELESS = rf"\[program[^;\]]*\];(?:__libc_start_main[^;]*|{UNNAMED});(?:__libc_start_call_main|{UNNAMED})"
def nameless(frames):
    return NAMELESS + rf"(?:;\[program[^;\]]*\]){{{frames}}}"



def build_id(path):
    text = subprocess.run(["readelf", "-n", path], capture_output=True, text=True, check=True).stdout
    found = [line.split()[-1] for line in text.splitlines() if "Build ID:" in line]
    if not found:
        raise Failed(f"{path} has no build ID")
    return found[0]


@contextlib.contextmanager
def build_id_directory(bench):
    """A mount namespace whose /usr/lib/debug is a folder of ours."""
    identifier = build_id(bench.folder / "program")
    folder = bench.folder / "debug" / ".build-id" / identifier[:2]
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(bench.folder / "program.debug", folder / f"{identifier[2:]}.debug")
    inside = f'mount --bind "{bench.folder}/debug" /usr/lib/debug && exec "$@"'
    yield Surroundings(prefix=("unshare", "--mount", "sh", "-c", inside, "sh"))


@contextlib.contextmanager
def debuginfod(bench):
    """A server on the loopback that has the program's debug file, and a cache of its own for the client."""
    wanted = f"/buildid/{build_id(bench.folder / 'program')}/debuginfo"
    content = (bench.folder / "program.debug").read_bytes()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            if self.path != wanted:
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_arguments):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield Surroundings(environment={"DEBUGINFOD_URLS": f"http://127.0.0.1:{server.server_address[1]}",
                                            "DEBUGINFOD_CACHE_PATH": str(bench.folder / "cache")})
        finally:
            server.shutdown()
            thread.join()


MINI = ("gcc -O2 -o {dir}/program {src}/chain.c",
        "sh -c 'nm -D {dir}/program --format=posix --defined-only | cut -d\" \" -f1 >{dir}/dynamic'",
        "sh -c 'printf \"main\\nouter\\nmiddle\\nleaf\\n_start\\n\" >{dir}/keep'",
        "objcopy -S --keep-symbols={dir}/keep {dir}/program {dir}/mini", "xz -f {dir}/mini",
        "objcopy --strip-all --add-section .gnu_debugdata={dir}/mini.xz {dir}/program")

FILES = (
    inlined(".gnu_debuglink, right CRC", *NO_ID, "objcopy --add-gnu-debuglink={dir}/program.debug {dir}/program",
            needs=("g++", "objcopy")),
    # The stale file is another build of other code; its names would be wrong.
    Situation(".gnu_debuglink, stale file", (
        *NO_ID, "objcopy --add-gnu-debuglink={dir}/program.debug {dir}/program",
        "g++ -O1 -g -Wl,--build-id=none -std=c++20 -o {dir}/full {src}/names.cc",
        "objcopy --only-keep-debug {dir}/full {dir}/program.debug"), nameless(3), needs=("g++", "objcopy")),
    inlined("build-id directory", *STRIPPED, needs=("g++", "objcopy", "unshare", "readelf"), around=build_id_directory),
    inlined("debuginfod", *STRIPPED, needs=("g++", "objcopy", "readelf"), around=debuginfod,
            options=("--debuginfod", "yes")),
    Situation("MiniDebugInfo", MINI, CHAIN, needs=("gcc", "objcopy", "xz")),
    Situation("stripped, exported names only", ("gcc -O2 -rdynamic -s -o {dir}/program {src}/chain.c",), CHAIN, needs=("gcc",)),
    Situation("fully stripped", ("gcc -O2 -s -o {dir}/program {src}/chain.c",), nameless(4), needs=("gcc",)),
)

# ---------------------------------------------------------------------------------------------
# Languages.

RUST_ROOT = r".*;main;std::rt::lang_start(?:_internal)?[^;]*;(?:[^;]*;)*burn::main(?:::h[0-9a-f]{16})?"
_HASH = r"(?:::h[0-9a-f]{16})?"
RUST_CHAIN = (RUST_ROOT + rf";burn::outer(?:::?<[^;]*>)?{_HASH};burn::main::\{{(?:closure#0|\{{closure\}})\}}+{_HASH};"
              rf"<burn::Cart<(?:T|u32)> as burn::Shop>::middle{_HASH};burn::leaf{_HASH}")
# The runtime's own threads are there, too, and its signals come on a stack of their own.
GO_CHAIN = (r"runtime\.goexit(?:\.abi0)?;runtime\.main;main\.main;main\.outer;main\.main\.func1;main\.\(\*cart\)\.middle;"
            r"main\.leaf\[[^;\]]*\](?:;runtime\.[^;]+)*"
            r"|runtime\.(?:clone|rt0_go|mstart|mcall|goexit)(?:\.abi0)?(?:;(?:runtime|internal)[./][^;]+)*")
GO_SIGNALLED = rf"{MARK};main\.leaf\[[^;\]]*\](?:;(?:runtime|internal)[./][^;]+)+"


def rust(mangling):
    # Stable compilers take the older mangling only this way.
    return (f"env RUSTC_BOOTSTRAP=1 rustc -O -Z unstable-options -C symbol-mangling-version={mangling} "
            "-o {dir}/program {src}/burn.rs",)


def go(*flags):
    return ("sh -c 'cd {src}/go && CGO_ENABLED=0 GOFLAGS=-buildvcs=false GOTOOLCHAIN=local go build " + " ".join(flags) +
            " -o {dir}/program .'",)


# As GNU's demangler writes it, and as LLVM's does.
LAMBDA = r"shop::Outer\(unsigned long\)::(?:\{lambda\(unsigned long\)#1\}|'lambda'\(unsigned long\))"
SHOP = (rf"{GLIBC};main;shop::Outer\(unsigned long\);"
        rf"unsigned long shop::Twice<{LAMBDA}>\({LAMBDA}\);"
        rf"{LAMBDA}::operator\(\)\(unsigned long\) const;"
        r"shop::\(anonymous namespace\)::Hidden\(unsigned long\);"
        r"shop::Price shop::Cart<shop::Price, 7>::Add<short>\(std::pair<shop::Price, short>\);"
        r"shop::operator\+\(shop::Price const&, shop::Price const&\)")
SHORT_SHOP = (rf"{GLIBC};main;shop::Outer;shop::Twice<shop::Outer(?:\(unsigned long\))?::\{{lambda\(unsigned long\)#1\}} ?>;"
              r"shop::Outer(?:\(unsigned long\))?::\{lambda\(unsigned long\)#1\}::operator\(\);"
              r"shop::\(anonymous namespace\)::Hidden;shop::Cart<shop::Price, 7>::Add<short>;shop::operator\+")

# Debian 12 has no compiler for Swift: symbols as it writes them, given to functions of C.
SWIFT = ("gcc -O2 -c -o {dir}/chain.o {src}/chain.c",
         "objcopy --redefine-sym leaf=$s4shop4leafyS2uF --redefine-sym middle=$s4shop4CartC6middleyS2uF "
         "--redefine-sym outer=$s4shop5outeryS2uF {dir}/chain.o", "gcc -o {dir}/program {dir}/chain.o")

LANGUAGES = (
    Situation("C++: templates, lambdas, operators, anonymous namespaces", ("g++ -O2 -o {dir}/program {src}/names.cc",), SHOP, short_chain=SHORT_SHOP,
              needs=("g++",)),
    Situation("Rust, legacy names", rust("legacy"), RUST_CHAIN, needs=("rustc",)),
    Situation("Rust, v0 names", rust("v0"), RUST_CHAIN, needs=("rustc",)),
    Situation("Go", go(), GO_CHAIN, marked=GO_SIGNALLED, needs=("go",)),
    Situation("Go, stripped", go('-ldflags="-s -w"'), GO_CHAIN, marked=GO_SIGNALLED, needs=("go",)),
    Situation("ifunc", ("gcc -O2 -o {dir}/program {src}/ifunc.c",), rf"{GLIBC};main;outer;middle;leaf_fast", needs=("gcc",)),
    Situation("Fortran", ("gfortran -O2 -fno-inline -fno-ipa-cp -J {dir} -o {dir}/program {src}/burn.f90",),
              rf"{GLIBC};main;MAIN__;__shop_MOD_outer;__shop_MOD_middle;__shop_MOD_leaf", needs=("gfortran",)),
    Situation("D", ("gdc-12 -O2 -fno-inline -fno-druntime -o {dir}/program {src}/burn.d",),
              rf"{GLIBC};main;(?:_D4shop5outer\w*|shop\.outer[^;]*);(?:_D4shop4Cart6middle\w*|shop\.Cart\.middle[^;]*);"
              r"(?:_D4shop4leaf\w*|shop\.leaf[^;]*)", needs=("gdc-12",)),
    Situation("Swift's symbols", SWIFT,
              rf"{GLIBC};main;\$s4shop5outeryS2uF;\$s4shop4CartC6middleyS2uF;\$s4shop4leafyS2uF", needs=("gcc", "objcopy")),
)

GROUPS = (("Symbols: inlined frames with file:line", INLINES), ("Symbols: where debug files are", FILES),
          ("Symbols: languages", LANGUAGES))
