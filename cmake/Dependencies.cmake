# Third-party libraries, all from Debian packages (scripts/setup).

find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
if(WHYSLOW_STATIC_LIBRARIES)
  # The tarball has to run where none of these packages is installed; glibc stays dynamic.
  set(CMAKE_FIND_LIBRARY_SUFFIXES .a .so)
  set(Protobuf_USE_STATIC_LIBS ON)
  set(ZLIB_USE_STATIC_LIBS ON)
  add_link_options(-static-libstdc++ -static-libgcc)
endif()
find_package(absl REQUIRED)
if(WHYSLOW_STATIC_LIBRARIES)
  # Debian's package configuration names the shared libraries; the archives lie beside them.
  get_property(imported DIRECTORY PROPERTY IMPORTED_TARGETS)
  foreach(target IN LISTS imported)
    get_target_property(shared ${target} IMPORTED_LOCATION_NONE)
    if(target MATCHES "^absl::" AND shared)
      string(REGEX REPLACE "\\.so[.0-9]*$" ".a" archive ${shared})
      if(EXISTS ${archive})
        set_target_properties(${target} PROPERTIES IMPORTED_LOCATION_NONE ${archive}
                                                   IMPORTED_LOCATION ${archive})
      endif()
    endif()
  endforeach()
endif()
find_package(Protobuf REQUIRED)
find_package(CLI11 REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(ZLIB REQUIRED)

# whyslow_find_library(TARGET name header): an imported target for a package without a CMake config.
function(whyslow_find_library target name header)
  find_library(${target}_LIBRARY NAMES ${name} REQUIRED ${ARGN})
  find_path(${target}_INCLUDE NAMES ${header} ${ARGN})
  add_library(whyslow::${target} UNKNOWN IMPORTED GLOBAL)
  set_target_properties(whyslow::${target} PROPERTIES IMPORTED_LOCATION ${${target}_LIBRARY})
  if(${target}_INCLUDE)
    target_include_directories(whyslow::${target} SYSTEM INTERFACE ${${target}_INCLUDE})
  endif()
endfunction()

whyslow_find_library(zstd zstd zstd.h)
whyslow_find_library(lzma lzma lzma.h)
# LLVM's demangler: Itanium C++, Rust v0, D; Apache-2.0, in one small static library.
whyslow_find_library(demangle LLVMDemangle llvm/Demangle/Demangle.h
                     HINTS /usr/lib/llvm-14/lib /usr/lib/llvm-14/include)

# The BPF loader and compiler are optional: without them the same results come from the perf path.
if(WHYSLOW_BPF)
  find_library(bpf_LIBRARY NAMES bpf)
  find_library(elf_LIBRARY NAMES elf)
  find_path(bpf_INCLUDE NAMES bpf/libbpf.h)
  find_program(BPF_CLANG NAMES clang-14 clang)
endif()
