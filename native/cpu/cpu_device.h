#pragma once

#include <memory>

#include "device.h"

namespace convgrad::cpu {

/// The CPU as a stream: a dispatcher thread takes commands from a bounded queue and runs them on the thread pool.
std::shared_ptr<Device> make_device();

}  // namespace convgrad::cpu
