# SPDX-License-Identifier: Apache-2.0
# cmake -DNM=nm "-DOBJECTS=a.o|b.o" -P check_units.cmake: fails when a kernel unit among them defines a weak symbol.
string(REPLACE "|" ";" objects "${OBJECTS}")
list(FILTER objects INCLUDE REGEX "/kernels/(dense_)?(avx2|avx512|neon)")
if(NOT objects)
  message(FATAL_ERROR "no kernel unit among the objects: ${OBJECTS}")
endif()
foreach(object IN LISTS objects)
  execute_process(COMMAND ${NM} --defined-only ${object} OUTPUT_VARIABLE symbols COMMAND_ERROR_IS_FATAL ANY)
  string(REGEX MATCH "[^\n]* [WVu] [^\n]*" weak "${symbols}")
  if(weak)
    message(FATAL_ERROR "${object} defines a symbol that the linker may share with other units: ${weak}")
  endif()
endforeach()
