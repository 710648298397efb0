// Thread states and their frames, read from outside: for threads that do not run at the moment. Of
// one that runs, the frames change while they are read; CheckPythonWalk tells most of that.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "sampler/python/objects.h"
#include "sampler/python/walk_layout.h"

namespace whyslow {

// One thread state. A thread has one in each interpreter (of several in the process) that it has
// entered.
struct PythonThread {
  RuntimeAddress state;
  RuntimeAddress interpreter;  // in whose list it stands
  RuntimeAddress owner;        // the interpreter that it says it belongs to: the same
  uint64_t pthread = 0;        // pthread_self()
  uint64_t native_id = 0;      // gettid(), in the target's namespace; 0: this version has none
  RuntimeAddress frame;        // 0: it runs no Python code
};

// The thread state at this address as it is now, if it is still that of the same thread.
std::optional<PythonThread> ReadPythonThreadAgain(const PythonObjects& objects,
                                                  const PythonThread& thread);

// Those of all interpreters, at most 16,384. What cannot be read ends a list, and so does one that
// was there before.
std::vector<PythonThread> ListPythonThreads(const PythonObjects& objects);

enum class PythonWalkEnd : uint8_t {
  kRoot,     // the chain ended
  kTooDeep,  // after PYTHON_MOST_FRAMES frames
  kBroken,   // at a frame or a code object that cannot be read
  kLoop,     // the chain comes back to a frame
};

// One step of a walk, for its check.
struct PythonWalkStep {
  RuntimeAddress frame;
  RuntimeAddress code;
  RuntimeAddress previous;
  RuntimeAddress code_type;
  bool is_own = false;  // the interpreter's own: not among the frames
  bool is_instruction_inside = false;
};

struct PythonWalk {
  std::vector<python_raw_frame> frames;  // leaf first, as the BPF programs walk them
  std::vector<PythonWalkStep> steps;
  PythonWalkEnd end = PythonWalkEnd::kRoot;
};

// Where the last of the walk's frames lies; 0: it has none.
RuntimeAddress OutermostFrame(const PythonWalk& walk);

PythonWalk WalkPythonThread(const PythonObjects& objects, const PythonThread& thread);

enum class PythonWalkFault : uint8_t {
  kNone,
  kNotEnded,     // a frame or a code object could not be read
  kChanged,      // the thread has another frame, or its frame other code, than when the walk began
  kFrameTwice,   // the chain came back to a frame
  kNoCode,       // a frame's code is not of the code objects' type
  kOutsideCode,  // a frame's instruction is not one of its code
};

std::string_view Text(PythonWalkFault fault);

// Whether the walk can have been true, by what always holds; one that was cut is no less true.
// Reads the thread's frame once more. `code_type`: PyCode_Type.
PythonWalkFault CheckPythonWalk(const PythonObjects& objects, RuntimeAddress code_type,
                                const PythonThread& thread, const PythonWalk& walk);

// The thread's current frame by its state; 0: none, nullopt: cannot be read.
std::optional<RuntimeAddress> CurrentFrameOf(const PythonObjects& objects, RuntimeAddress state);

}  // namespace whyslow
