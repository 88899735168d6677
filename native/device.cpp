#include "device.h"

namespace convgrad {

void Device::submit(std::shared_ptr<Command> command, Recorder* recorder) {
  if (recorder && !recorder->runs()) return recorder->add(std::move(command));
  Operands& operands = command->operands();
  operands.workspace_bytes = command->kernel->workspace(command->args());
  const auto free = [this](void* block) { deallocate(block); };
  std::unique_ptr<void, decltype(free)> block(nullptr, free);
  if (operands.workspace_bytes) block.reset(allocate(operands.workspace_bytes, /*idle=*/false));
  operands.workspace = static_cast<std::byte*>(block.get());
  if (recorder) recorder->add(command);
  enqueue(std::move(command));
}

}  // namespace convgrad
