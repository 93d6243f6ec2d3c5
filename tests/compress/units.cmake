# SPDX-License-Identifier: Apache-2.0
# compress_units: no per-ISA object defines a weak symbol. A weak one would be inline code compiled for that level, and
# the linker could keep it for processors that lack the level. Instrumented builds add weak symbols of their own.
if(NOT VECSTORE_SANITIZE AND NOT VECSTORE_COVERAGE AND CMAKE_NM)
  add_test(NAME compress_units
           COMMAND ${CMAKE_COMMAND} -DNM=${CMAKE_NM} "-DOBJECTS=$<JOIN:$<TARGET_OBJECTS:vecstore_compress>,|>" -P
                   ${CMAKE_CURRENT_LIST_DIR}/check_units.cmake)
endif()
