#include "cpu/isa.h"

#include <cstdlib>
#include <cstring>

#include "error.h"

namespace convgrad::cpu {

#if defined(__x86_64__)
namespace baseline {
extern const KernelTable table;
}
namespace avx2 {
extern const KernelTable table;
}
namespace avx512 {
extern const KernelTable table;
}
#else
namespace neon {
extern const KernelTable table;
}
#endif

namespace {

struct Candidate {
  const char* name;
  const KernelTable* table;
  bool supported;
};

std::vector<Candidate> candidates() {
#if defined(__x86_64__)
  const bool has_avx2 =
      __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2");
#if defined(CONVGRAD_WIDE_ON_AVX2)
  const bool has_avx512 = has_avx2;  // 16-lane code lowered to AVX2, to test it on machines without AVX-512
#else
  const bool has_avx512 = has_avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                          __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
                          __builtin_cpu_supports("avx512vl");
#endif
  return {{"avx512", &avx512::table, has_avx512},
          {"avx2", &avx2::table, has_avx2},
          {"baseline", &baseline::table, static_cast<bool>(__builtin_cpu_supports("sse4.2"))}};
#else
  return {{"neon", &neon::table, true}};
#endif
}

const KernelTable& choose() {
  const char* wanted = std::getenv("CONVGRAD_ISA");
  for (const Candidate& candidate : candidates()) {
    if (wanted && *wanted && std::strcmp(wanted, candidate.name) != 0) continue;
    if (candidate.supported) return *candidate.table;
    if (wanted && *wanted) fail("ERR_DEVICE", "CONVGRAD_ISA=", wanted, ": this processor does not support it");
  }
  if (wanted && *wanted) fail("ERR_DEVICE", "CONVGRAD_ISA=", wanted, ": unknown instruction set");
  fail("ERR_DEVICE", "this processor is older than x86-64-v2 (SSE 4.2), which convgrad needs");
}

}  // namespace

const KernelTable& kernels() {
  static const KernelTable& chosen = choose();
  return chosen;
}

std::vector<const char*> available_isas() {
  std::vector<const char*> names;
  for (const Candidate& candidate : candidates()) {
    if (candidate.supported) names.push_back(candidate.name);
  }
  return names;
}

}  // namespace convgrad::cpu
