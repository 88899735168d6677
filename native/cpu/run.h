// What every op's file in cpu/ specialises, for each Op of ops.inc: a missing one is a link error.
#pragma once

#include "ops/all.h"

namespace convgrad::cpu {

template <class Op>
void run(const Args<Op>& args);

/// Bytes of scratch memory, for ops that say has_workspace.
template <class Op>
size_t workspace(const Args<Op>& args);

}  // namespace convgrad::cpu
