# Writes OUTPUT: a line `{NUMBER, "NAME"},` for each __NR_NAME that COMPILER's <asm/unistd.h> defines.
file(WRITE ${OUTPUT}.c "#include <asm/unistd.h>\n")
execute_process(
  COMMAND ${COMPILER} -x c -E -dM ${OUTPUT}.c
  OUTPUT_VARIABLE defines COMMAND_ERROR_IS_FATAL ANY)
string(REGEX MATCHALL "#define __NR_[a-z0-9_]+ [0-9]+" lines "${defines}")
set(rows "")
foreach(line IN LISTS lines)
  string(REGEX REPLACE "#define __NR_([a-z0-9_]+) ([0-9]+)" "{\\2, \"\\1\"},\n" row "${line}")
  string(APPEND rows "${row}")
endforeach()
file(WRITE ${OUTPUT} "${rows}")
