# What the scripts share; sourced, not run.
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# Compiled objects are reused where ccache is there; nothing else depends on it.
if command -v ccache >/dev/null; then
  export CMAKE_C_COMPILER_LAUNCHER=${CMAKE_C_COMPILER_LAUNCHER-ccache}
  export CMAKE_CXX_COMPILER_LAUNCHER=${CMAKE_CXX_COMPILER_LAUNCHER-ccache}
fi

say() { printf '== %s\n' "$*"; }

# As many compilers as there is memory for: one of Protobuf's users takes close to 1 GB.
jobs_count() {
  local cpus memory_gb
  cpus=$(nproc)
  memory_gb=$(awk '/MemAvailable/ {print int($2 / 1048576)}' /proc/meminfo)
  [[ $memory_gb -lt 1 ]] && memory_gb=1
  echo $((cpus < memory_gb ? cpus : memory_gb))
}

# build PRESET [TARGET...]: configures and builds.
build() {
  local preset=$1
  shift
  (
    cd "$ROOT"
    cmake --preset "$preset" >"/tmp/whyslow-configure.$$" 2>&1 || {
      cat "/tmp/whyslow-configure.$$" >&2
      rm -f "/tmp/whyslow-configure.$$"
      exit 1
    }
    rm -f "/tmp/whyslow-configure.$$"
    cmake --build --preset "$preset" -j "$(jobs_count)" ${1:+--target "$@"}
  )
}
