# Warnings, sanitizers, and the function that makes one static library a folder.

add_library(whyslow_options INTERFACE)
target_include_directories(whyslow_options INTERFACE ${CMAKE_SOURCE_DIR})
target_compile_options(whyslow_options INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-missing-field-initializers)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  # GCC 12 warns wrongly of std::string's operator+ (GCC bug 105651).
  target_compile_options(whyslow_options INTERFACE -Wno-restrict)
endif()
if(WHYSLOW_WARNINGS_AS_ERRORS)
  target_compile_options(whyslow_options INTERFACE -Werror)
endif()
if(WHYSLOW_SANITIZE)
  set(sanitize_flags -fsanitize=${WHYSLOW_SANITIZE} -fno-omit-frame-pointer)
  if(WHYSLOW_SANITIZE MATCHES "undefined")
    list(APPEND sanitize_flags -fno-sanitize-recover=all)
  endif()
  if(WHYSLOW_FUZZ)
    list(APPEND sanitize_flags -fsanitize=fuzzer-no-link)
  endif()
  target_compile_options(whyslow_options INTERFACE ${sanitize_flags})
  target_link_options(whyslow_options INTERFACE ${sanitize_flags})
endif()

# whyslow_library(NAME SOURCES file... [DEPS target...]): a static library `whyslow_NAME`.
# Link errors then repeat what scripts/check_layers.py forbids.
function(whyslow_library name)
  cmake_parse_arguments(LIB "" "" "SOURCES;DEPS" ${ARGN})
  add_library(whyslow_${name} STATIC ${LIB_SOURCES})
  target_link_libraries(whyslow_${name} PUBLIC whyslow_options ${LIB_DEPS})
endfunction()
