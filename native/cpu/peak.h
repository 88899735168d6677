#pragma once

namespace convgrad::cpu {

/// The float32 operations a second that the threads reach together in registers: the best round within `milliseconds`.
/// Blocks. What benchmarks hold their own figures against.
double measure_peak(double milliseconds);

}  // namespace convgrad::cpu
