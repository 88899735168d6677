// The choice of instruction set, made once per process.
#pragma once

#include <vector>

#include "cpu/kernels/table.h"

namespace convgrad::cpu {

/// The kernels for the best instruction set of this machine, or a lower one named by CONVGRAD_ISA
/// ("baseline", "avx2", "avx512", "neon"). Throws ERR_DEVICE when the named one is unknown or not supported here.
const KernelTable& kernels();

/// Names of the instruction sets that this machine can run, best first.
std::vector<const char*> available_isas();

}  // namespace convgrad::cpu
