// What the source of events asks of whoever knows CPython.
#pragma once

#include <optional>
#include <vector>

#include "base/ids.h"
#include "sampler/event.h"

namespace whyslow {

// Used by the reading thread.
class PythonReader {
 public:
  virtual ~PythonReader() = default;

  // Is shown mappings, names, forks and exits of targets as soon as they are read. Where to walk
  // from now on in the process that the event is about; null: as before.
  virtual const python_walk_layout* Look(const Event& event) = 0;
  // Appends what is to be told behind this mapping of a target, when its time has come.
  virtual void Tell(const MappingAdded& mapping, Instant when, std::vector<Event>& out) = 0;
  // Finds out what the raw frames mean: soon, before the code is gone. Appends what is to be told
  // beside it.
  virtual void Read(PythonStack& stack, Instant when, std::vector<Event>& out) = 0;
  // The frames of a thread that does not run, raw. nullopt: it has none, or they cannot be read.
  virtual std::optional<PythonStack> Walk(Pid pid, Tid tid) = 0;
};

}  // namespace whyslow
