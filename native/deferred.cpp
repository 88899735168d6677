#include "deferred.h"

#include <algorithm>

#include "device.h"

namespace convgrad {

namespace {

/// The op before, while it waits.
Deferred* base_of(const Deferred& deferred) {
  return deferred.base < 0 ? nullptr : deferred.operands[deferred.base]->deferred.get();
}

/// The command that computes all the way from the product, which is returned too. Null where an op on the way has run.
std::shared_ptr<Command> fused(const Deferred& deferred, const Deferred*& product) {
  if (deferred.stage == Stage::product) {
    product = &deferred;
    return deferred.command->clone();
  }
  const Deferred* base = base_of(deferred);
  std::shared_ptr<Command> command = base ? fused(*base, product) : nullptr;
  if (command) deferred.fuse(*command, *product, deferred);
  return command;
}

bool reads(const Deferred& deferred, const Storage& storage) {
  for (const auto& operand : deferred.operands) {
    if (operand.get() == &storage) return true;
  }
  const Deferred* base = base_of(deferred);
  return base && reads(*base, storage);
}

}  // namespace

void Deferrals::add(Storage& output, std::unique_ptr<Deferred> deferred) {
  deferred->serial = serial_++;
  output.deferred = std::move(deferred);
  waiting_.push_back(&output);
}

void Deferrals::remove(const Storage& storage) { std::erase(waiting_, &storage); }

void Deferrals::give_up_memory(Storage& storage) {
  storage.deferred->continued = true;
  if (storage.is_placeholder) return;
  storage.device->deallocate(storage.data);
  storage.data = nullptr;
}

void Deferrals::run(Storage& storage) {
  if (!storage.deferred) return;
  if (storage.is_placeholder && !storage.device->recorder()) return drop(storage);  // nothing was to be executed
  const Deferred& deferred = *storage.deferred;
  if (!storage.data) storage.data = storage.device->allocate(storage.bytes, /*idle=*/false);

  const Deferred* product = nullptr;
  std::shared_ptr<Command> command = fused(deferred, product);
  if (command) {
    // It is computed a second time, and would be so each time: the products of this weight do not wait again.
    if (deferred.inlined) product->operands[1]->fuses = false;
    for (Deferred* base = base_of(deferred); base; base = base_of(*base)) base->inlined = true;
  } else {
    Storage& base = *deferred.operands[deferred.base];
    run(base);
    command = deferred.command->clone();
    command->operands().in.flat()[deferred.base].data = base.data;
  }
  command->operands().out.flat()[0].data = storage.data;
  Recorder* recorder = deferred.serial < closed_ ? nullptr : storage.device->recorder();
  if (recorder) {
    for (const Deferred* step = &deferred; step; step = base_of(*step)) {
      for (const auto& operand : step->operands) {
        if (operand && operand->data && !operand->deferred) recorder->operand(operand, false);
      }
    }
    recorder->output(storage.shared_from_this());
    command->record(*recorder);
  }
  storage.device->submit(std::move(command), recorder);
  drop(storage);
}

void Deferrals::drop(Storage& storage) {
  remove(storage);
  storage.deferred.reset();
}

template <class Chosen>
void Deferrals::run_where(Chosen chosen) {
  // Running one may run others, and may free others.
  for (;;) {
    const auto found = std::find_if(waiting_.begin(), waiting_.end(), [&](Storage* s) { return chosen(*s->deferred); });
    if (found == waiting_.end()) return;
    run(**found);
  }
}

void Deferrals::run_all() {
  run_where([](const Deferred& deferred) { return !deferred.continued; });
}

void Deferrals::close() {
  run_all();  // the others cannot be continued another time
  closed_ = serial_;
}

void Deferrals::run_readers(const Storage& storage) {
  if (waiting_.empty()) return;
  run_where([&](const Deferred& deferred) { return !deferred.continued && reads(deferred, storage); });
  run_where([&](const Deferred& deferred) { return reads(deferred, storage); });
}

}  // namespace convgrad
