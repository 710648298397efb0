"""Situations in which a stack is hard to walk."""

from situation import CHAIN, GLIBC, MARK, MUSL, THREAD, UNNAMED, Situation

NO_CFI = "-fno-asynchronous-unwind-tables -fno-unwind-tables"
SUFFIX = rf"{MARK}(?:(?:(?:;main)?;outer)?;middle)?;leaf"
CPP_CHAIN = rf"{GLIBC};main;outer\(unsigned long\);middle\(unsigned long\);leaf\(unsigned long\)"
INTERRUPTED = rf"{CHAIN};(?:__restore_rt|{UNNAMED});handler;handler_leaf"


def gcc(flags="", source="chain.c", compiler="gcc"):
    return f"{compiler} -O2 {flags} -o {{dir}}/program {{src}}/{source}"


def clang(flags="", source="chain.c"):
    return gcc(flags, source, "clang-14")


def tiny_library(flags):
    return ("gcc -O2 -shared -fPIC -o {dir}/libtiny.so {src}/plt_library.c",
            f"gcc -O2 {flags} -o {{dir}}/program {{src}}/plt.c -L{{dir}} -ltiny -Wl,-rpath,{{dir}}")


TINY = rf"{GLIBC};main;outer(?:;tiny(?:@plt)?)?"
HOT = rf"{GLIBC};main(?:;outer(?:;middle(?:;leaf)?)?)?"
LLD = ("clang-14", "ld.lld-14")

COMPILED = (
    Situation("GCC -O2, no frame pointers", (gcc(),), CHAIN, needs=("gcc",)),
    Situation("GCC -O0", (gcc("-O0"),), CHAIN, needs=("gcc",)),
    Situation("Clang -O2, no frame pointers", (clang(),), CHAIN, needs=("clang-14",)),
    Situation("frame pointers, no CFI", (gcc(f"-fno-omit-frame-pointer {NO_CFI}"),), CHAIN, needs=("gcc",)),
    Situation("frame pointers, no CFI, the leaf has set up no frame",
              (gcc(f"-fno-omit-frame-pointer -momit-leaf-frame-pointer {NO_CFI}"),), CHAIN, needs=("gcc",)),
    Situation("no .eh_frame_hdr", (gcc("-Wl,--no-eh-frame-hdr"),), CHAIN, needs=("gcc",)),
    Situation("only .debug_frame", (gcc(f"-g {NO_CFI}"),), CHAIN, needs=("gcc",)),
    Situation("only .debug_frame, compressed", (gcc(f"-g -gz {NO_CFI}"),), CHAIN, needs=("gcc",)),
    Situation("neither frame pointers nor CFI", (gcc(NO_CFI),), CHAIN, marked=SUFFIX, needs=("gcc",)),
    Situation("neither, hot functions of many frames", (gcc(NO_CFI, "alloca.c"),), CHAIN, marked=SUFFIX, needs=("gcc",)),
    Situation("static", (gcc("-static"),), CHAIN, needs=("gcc",)),
    Situation("static-pie", (gcc("-static-pie"),), CHAIN, needs=("gcc",)),
    Situation("not position-independent", (gcc("-no-pie"),), CHAIN, needs=("gcc",)),
    Situation("fixed image base", (gcc("-no-pie -Wl,-Ttext-segment=0x30000000"),), CHAIN, needs=("gcc",)),
    Situation("musl, static", (gcc("-static", compiler="musl-gcc"),), rf"{MUSL};main;outer;middle;leaf", needs=("musl-gcc",)),
    Situation("musl, dynamic", (gcc(compiler="musl-gcc"),), rf"{MUSL};main;outer;middle;leaf", needs=("musl-gcc",)),
)

LAID_OUT = (
    Situation("Clang LTO, lld", (clang("-flto -fuse-ld=lld"),), CHAIN, needs=LLD),
    Situation("lld, default layout", (clang("-fuse-ld=lld"),), CHAIN, needs=LLD),
    Situation("lld, separate code", (clang("-fuse-ld=lld -Wl,-z,separate-code"),), CHAIN, needs=LLD),
    Situation("lld, separate loadable segments", (clang("-fuse-ld=lld -Wl,-z,separate-loadable-segments"),), CHAIN, needs=LLD),
    Situation("lld, no segment for read-only data", (clang("-fuse-ld=lld -Wl,--no-rosegment"),), CHAIN, needs=LLD),
    Situation("lld, fixed image base", (clang("-no-pie -fuse-ld=lld -Wl,--image-base=0x30000000"),), CHAIN, needs=LLD),
    Situation("code and data in joined segments", (gcc("-Wl,-z,noseparate-code"),), CHAIN, needs=("gcc",)),
)

FRAMES = (
    Situation("alloca and variable length arrays", (gcc(source="alloca.c"),), CHAIN, needs=("gcc",)),
    Situation("realigned frames (DRAP)", (gcc(source="realigned.c"),), CHAIN, needs=("gcc",)),
    Situation("CFA and registers by DWARF expressions, CFA in rbx",
              ("gcc -O2 -o {dir}/program {src}/expressions.c {src}/expressions.S",),
              rf"{GLIBC};main;outer;middle;inner;deepest;leaf", needs=("gcc",)),
    Situation("PLT stubs without CET", tiny_library("-fcf-protection=none -Wl,-z,lazy"), TINY,
              seen=((";tiny@plt$", 0.002),), needs=("gcc",)),
    Situation("PLT stubs with CET", tiny_library("-fcf-protection=full -Wl,-z,ibtplt -Wl,-z,lazy"), TINY,
              seen=((";tiny@plt$", 0.002),), needs=("gcc",)),
    Situation("PLT stubs, bound at start", tiny_library("-Wl,-z,now"), TINY, seen=((";tiny@plt$", 0.002),), needs=("gcc",)),
    Situation("tail call", (gcc(source="tail.c"),), rf"{GLIBC};main;outer;leaf", needs=("gcc",)),
    Situation("call of a noreturn function as last instruction",
              (gcc("-falign-functions=1 -fno-reorder-functions -fno-toplevel-reorder", "noreturn.c"),), CHAIN, needs=("gcc",)),
    Situation("hot tiny functions", (gcc(source="tiny.c"),), HOT, seen=((";leaf$", 0.002),), needs=("gcc",)),
    Situation("hot tiny functions, -O0", (gcc("-O0", "tiny.c"),), HOT, seen=((";leaf$", 0.002),), needs=("gcc",)),
    Situation("hot tiny functions, frame pointers and no CFI",
              (gcc(f"-fno-omit-frame-pointer {NO_CFI}", "tiny.c"),), HOT, seen=((";leaf$", 0.002),), needs=("gcc",)),
    Situation("part of a function moved to .cold",
              (gcc(source="cold.c"), "sh -c 'nm {dir}/program | grep -q outer.cold'"),
              rf"{GLIBC};main;outer(?:\.cold)?;middle;leaf", needs=("gcc",)),
    Situation("assembly without CFI as leaf", ("gcc -O2 -o {dir}/program {src}/asm_leaf.c {src}/no_cfi_leaf.S",), CHAIN,
              needs=("gcc",)),
    Situation("recursion of 5,000 frames", (gcc(source="deep.c"),), rf"{GLIBC};main(?:;recurse){{5000}};leaf",
              marked=rf"{MARK}(?:;recurse)+;leaf", needs=("gcc",)),
    Situation("frames of 300 KB", (gcc("-DLARGE", "deep.c"),), rf"{GLIBC};main(?:;recurse){{3}};leaf",
              marked=rf"{MARK}(?:;recurse)*;leaf", needs=("gcc",)),
)

CROSSED = (
    Situation("signal handler", (gcc(source="signal.c"),), INTERRUPTED, needs=("gcc",)),
    Situation("signal handler on the alternate stack", (gcc("-DALTERNATE", "signal.c"),), INTERRUPTED, needs=("gcc",)),
    Situation("signal handler, musl", (gcc("-static", "signal.c", "musl-gcc"),),
              rf"{MUSL};main;outer;middle;leaf;(?:__restore_rt|{UNNAMED});handler;handler_leaf", needs=("musl-gcc",)),
    Situation("exceptions in flight", (gcc(source="exception.cc", compiler="g++"),),
              rf"{GLIBC};main(?:;outer\(unsigned long\)(?:;middle\(unsigned long\)(?:;leaf\(unsigned long\))?)?"
              r"(?:;(?!main|outer|middle|leaf|\[truncated)[^;]+)*)?",
              # Where the unwinder of C++ has moved the stack already and is not there yet.
              marked=rf"{MARK};(?:outer|middle)\(unsigned long\);_Unwind_\w+(?:;{UNNAMED})?",
              seen=((";_Unwind_RaiseException", 0.3),), needs=("g++",)),
    Situation("vdso", (gcc(source="vdso.c"),),
              rf"{CHAIN}(?:;(?:__GI_)?(?:__)?clock_gettime(?:@plt|@@?GLIBC[^;]*)?)?(?:;(?:__vdso_clock_gettime|clock_gettime|{UNNAMED}))?",
              seen=((r"clock_gettime[^;]*;(?:__vdso_clock_gettime|clock_gettime|\[\[?vdso[^;]*)$", 0.2),), needs=("gcc",)),
    Situation("makecontext", (gcc(source="context.c"),), r"__start_context;outer;middle;leaf", needs=("gcc",)),
    Situation("C++20 coroutine", (gcc("-std=c++20", "coroutine.cc", "g++"),),
              rf"{GLIBC};main;outer\(Task&\);Middle\([^;]*;leaf\(unsigned long\)",
              short_chain=rf"{GLIBC};main;outer;Middle[^;]*;leaf", needs=("g++",)),
    Situation("thread", (gcc("-pthread", "thread.c"),), rf"{THREAD};outer;middle;leaf", needs=("gcc",)),
    # libstdc++ calls the function directly, or by a jump from a member function.
    Situation("std::thread", (gcc("-pthread", "std_thread.cc", "g++"),),
              rf"{THREAD};(?:execute_native_thread_routine|{UNNAMED});(?:std::thread::_State_impl<[^;]*;)?outer\(unsigned long\);"
              r"middle\(unsigned long\);leaf\(unsigned long\)", needs=("g++",)),
    Situation("child forked during the profile", (gcc(source="forked.c"),), CHAIN, needs=("gcc",)),
    Situation("kernel frames on top", (gcc(source="system_calls.c"),),
              rf"{CHAIN}(?:;(?:__(?:GI_+)?(?:libc_)?)?read(?:@plt)?(?:;[^;]+_\[k\])*)?", kernel=True,
              seen=((r"read;(?:entry_SYSCALL_64[^;]*_\[k\];)?do_syscall_64_\[k\];(?:[^;]*;)*ksys_read_\[k\];vfs_read_\[k\]", 0.5),),
              needs=("gcc",)),
)

GENERATED = (
    Situation("generated code with a frame pointer, calling back into C", (gcc(source="generated.c"),),
              rf"{GLIBC};main;outer;\[[^;\]]+\];callback;leaf", needs=("gcc",)),
    Situation("generated code named by a perf map", (gcc(source="generated.c"),),
              rf"{GLIBC};main;outer;generated_middle;callback;leaf", run="{dir}/program map", needs=("gcc",)),
    # V8's own main calls node::Start last, by a jump.
    Situation("node --perf-basic-prof", (),
              rf"{GLIBC};(?:main;)?node::Start[^;]*;.*Builtins_JSEntry[^;]*;.*(?:JS|LazyCompile|Function):[^;]*middle [^;]*burn\.js[^;]*;"
              r"(?:JS|LazyCompile|Function):[^;]*leaf [^;]*burn\.js[^;]*",
              run="node --perf-basic-prof --interpreted-frames-native-stack --single-threaded --no-turbo-inlining {src}/burn.js",
              needs=("node",)),
)

GROUPS = (("Unwinding: how it was compiled", COMPILED), ("Unwinding: how it was linked", LAID_OUT),
          ("Unwinding: frames", FRAMES), ("Unwinding: across boundaries", CROSSED),
          ("Unwinding: generated code", GENERATED))
