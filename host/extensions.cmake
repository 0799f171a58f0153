# SPDX-License-Identifier: BSD-3-Clause
# What the model can be made of. To add a residual block or an optimiser: a folder (host/block/NAME, host/optimizer/NAME) and its name in a
# list below, in the order of the documentation. docs/how-to has the steps. Included at the top, because every target knows the lists:
#   block/list.h, optimizer/list.h   MNO_BLOCK_LIST(X), MNO_OPTIMIZER_LIST(X): X(name) for each
#   block/units.h, optimizer/formulas.h   the formulas of all, for a kind of number (block/formula.h)
#   block/trainers.h   MNO_UNIT_LIST(X): X(name) for each block with a formula of a unit (block/NAME/unit.h);
#                      MNO_TRAINER_LIST(X): X(block, optimizer) for each of them and each optimiser
set(MEANODE_BLOCKS perceptron)
set(MEANODE_OPTIMIZERS gd)

set(MEANODE_GENERATED ${CMAKE_BINARY_DIR}/generated)

function(meanode_list folder macro formula formulas)
  set(entries "")
  set(includes "")
  foreach(name IN LISTS ARGN)
    string(APPEND entries " X(${name})")
    if(EXISTS ${PROJECT_SOURCE_DIR}/host/${folder}/${name}/${formula})
      string(APPEND includes "#include \"${folder}/${name}/${formula}\"\n")
    endif()
  endforeach()
  file(CONFIGURE OUTPUT ${MEANODE_GENERATED}/${folder}/list.h CONTENT "#define ${macro}(X)${entries}\n")
  file(CONFIGURE OUTPUT ${MEANODE_GENERATED}/${folder}/${formulas} CONTENT "${includes}")
endfunction()
meanode_list(block MNO_BLOCK_LIST unit.h units.h ${MEANODE_BLOCKS})
meanode_list(optimizer MNO_OPTIMIZER_LIST apply.h formulas.h ${MEANODE_OPTIMIZERS})

set(MEANODE_UNIT_BLOCKS "")
foreach(block IN LISTS MEANODE_BLOCKS)
  if(EXISTS ${PROJECT_SOURCE_DIR}/host/block/${block}/unit.h)
    list(APPEND MEANODE_UNIT_BLOCKS ${block})
  endif()
endforeach()
set(units "")
set(trainers "")
foreach(block IN LISTS MEANODE_UNIT_BLOCKS)
  string(APPEND units " X(${block})")
  foreach(optimizer IN LISTS MEANODE_OPTIMIZERS)
    string(APPEND trainers " X(${block}, ${optimizer})")
  endforeach()
endforeach()
file(CONFIGURE OUTPUT ${MEANODE_GENERATED}/block/trainers.h
  CONTENT "#define MNO_UNIT_LIST(X)${units}\n#define MNO_TRAINER_LIST(X)${trainers}\n")
