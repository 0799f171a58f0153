# SPDX-License-Identifier: BSD-3-Clause
# The instruction sets of the CPU kernels: MEANODE_ISAS, resolved into `isas`, best first, and core/isas.h: MNO_ISA_LIST(X). Included
# at the top, because every target of the library knows them.
set(every_isa portable)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  list(PREPEND every_isa avx512 avx2)
endif()

set(asked ${MEANODE_ISAS})
if(asked STREQUAL "native" AND CMAKE_CROSSCOMPILING)
  set(asked all) # the processor that it will run on does not answer
endif()
if(asked STREQUAL "native")
  try_run(ran compiled ${CMAKE_BINARY_DIR}/native ${CMAKE_CURRENT_LIST_DIR}/native.c RUN_OUTPUT_VARIABLE best)
  if(NOT compiled OR NOT ran EQUAL 0)
    message(FATAL_ERROR "MEANODE_ISAS=native: host/core/native.c does not compile and run here; configure with -DMEANODE_ISAS=all")
  endif()
  string(STRIP "${best}" asked)
elseif(asked STREQUAL "all")
  set(asked ${every_isa})
endif()

foreach(isa IN LISTS asked)
  if(NOT isa IN_LIST every_isa)
    list(JOIN every_isa ", " known)
    message(FATAL_ERROR "MEANODE_ISAS: \"${isa}\" is none of ${known}, nor native or all")
  endif()
endforeach()
set(isas "")
foreach(isa IN LISTS every_isa) # the portable ones always: what every processor runs
  if(isa IN_LIST asked OR isa STREQUAL "portable")
    list(APPEND isas ${isa})
  endif()
endforeach()

list(JOIN isas ", " built)
if(isas STREQUAL every_isa)
  message(STATUS "CPU kernels: ${built}")
else()
  message(STATUS "CPU kernels: ${built} (-DMEANODE_ISAS=all builds them for every processor)")
endif()

list(JOIN isas ") X(" entries)
file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/generated/core/isas.h CONTENT "#define MNO_ISA_LIST(X) X(${entries})\n")
