#include "sampler/python/thread_walk.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <span>

#include "base/byte_reader.h"

namespace whyslow {
namespace {

constexpr size_t kMostInterpreters = 1024;
constexpr size_t kMostThreads = 16384;
// More of a thread state or a code object is never read at once. Offsets of a table in the target's
// memory can be larger; then nothing is read.
constexpr size_t kMostRead = 512;

// Notices that a list of the target's comes back to where it was: compares each element with one
// that is kept for twice as long each time (Brent's way), so that nothing grows.
class LoopWatch {
 public:
  bool IsBackAt(RuntimeAddress element) {
    if (element == kept_) {
      return true;
    }
    if (++since_ == hold_) {
      kept_ = element;
      since_ = 0;
      hold_ *= 2;
    }
    return false;
  }

 private:
  RuntimeAddress kept_;
  size_t since_ = 0;
  size_t hold_ = 1;
};

uint64_t WordAt(std::span<const std::byte> bytes, uint64_t offset) {
  return ByteReader(bytes, offset).U64();
}

std::optional<RuntimeAddress> FrameIn(const PythonObjects& objects, uint64_t word) {
  const python_walk_layout& walk = objects.layout().walk;
  if (walk.cframe_frame == PYTHON_NO_OFFSET || word == 0) {
    return RuntimeAddress(word);
  }
  return objects.ReadPointer(RuntimeAddress(word) + walk.cframe_frame);
}

std::optional<PythonThread> ReadThread(const PythonObjects& objects, RuntimeAddress interpreter,
                                       RuntimeAddress state, RuntimeAddress& next) {
  const PythonLayout& layout = objects.layout();
  const python_walk_layout& walk = layout.walk;
  size_t size =
      std::max({walk.thread_next, walk.thread_id, walk.thread_frame, layout.thread_interpreter}) +
      sizeof(uint64_t);
  if (layout.thread_native_id != PYTHON_NO_OFFSET) {
    size = std::max<size_t>(size, layout.thread_native_id + sizeof(uint64_t));
  }
  std::array<std::byte, kMostRead> buffer;
  if (size > buffer.size()) {
    return std::nullopt;
  }
  const std::span<std::byte> bytes = std::span(buffer).first(size);
  if (objects.memory().Read(state, bytes) != size) {
    return std::nullopt;
  }
  next = RuntimeAddress(WordAt(bytes, walk.thread_next));
  PythonThread thread{.state = state,
                      .interpreter = interpreter,
                      .owner = RuntimeAddress(WordAt(bytes, layout.thread_interpreter)),
                      .pthread = WordAt(bytes, walk.thread_id)};
  if (layout.thread_native_id != PYTHON_NO_OFFSET) {
    thread.native_id = WordAt(bytes, layout.thread_native_id);
  }
  thread.frame = FrameIn(objects, WordAt(bytes, walk.thread_frame)).value_or(RuntimeAddress());
  return thread;
}

// What one step reads of a code object.
struct CodeFacts {
  RuntimeAddress type;
  RuntimeAddress first_instruction;  // from 3.11 on; else 0
  uint64_t size = 0;                 // in bytes
  uint32_t check = 0;
};

std::optional<CodeFacts> ReadCode(const PythonObjects& objects, RuntimeAddress code) {
  const PythonLayout& layout = objects.layout();
  const python_walk_layout& walk = layout.walk;
  const size_t size = size_t{walk.code_begin} + walk.code_size;
  std::array<std::byte, kMostRead> buffer;
  if (size > buffer.size()) {
    return std::nullopt;
  }
  const std::span<std::byte> bytes = std::span(buffer).first(size);
  if (objects.memory().Read(code, bytes) != size) {
    return std::nullopt;
  }
  CodeFacts facts;
  facts.type = RuntimeAddress(WordAt(bytes, layout.object_type));
  const uint64_t names = uint64_t{walk.code_begin} + walk.code_names;
  facts.check = python_check(ByteReader(bytes, walk.code_begin).U32(), WordAt(bytes, names),
                             WordAt(bytes, names + 8));
  if (layout.has_addressed_instructions()) {
    facts.first_instruction = code + layout.code_instructions;
    facts.size = 2 * std::min(WordAt(bytes, layout.object_size), uint64_t{1} << 32);
  } else {
    const RuntimeAddress instructions(WordAt(bytes, layout.code_instructions));
    facts.size =
        objects.memory().ReadValue<uint64_t>(instructions + layout.object_size).value_or(0);
  }
  return facts;
}

// One instruction before the first stands for a call that has not begun.
bool IsInside(const PythonLayout& layout, const CodeFacts& code, uint64_t instruction) {
  if (layout.has_addressed_instructions()) {
    return instruction - (code.first_instruction.value() - 2) < code.size + 2;
  }
  const int64_t number = static_cast<int32_t>(instruction);
  const int64_t bytes = layout.line_table == LineTableKind::kRanges ? number * 2 : number;
  return number >= -1 && (number < 0 || static_cast<uint64_t>(bytes) < code.size);
}

class Walker {
 public:
  Walker(const PythonObjects& objects, PythonWalk& walk) : objects_(objects), walk_(walk) {}

  void Run(RuntimeAddress frame) {
    LoopWatch watch;
    // Frames of the interpreter's own count as well: there can be as many as others.
    while (frame.value() != 0) {
      if (walk_.frames.size() >= PYTHON_MOST_FRAMES ||
          walk_.steps.size() >= size_t{2} * PYTHON_MOST_FRAMES) {
        walk_.end = PythonWalkEnd::kTooDeep;
        return;
      }
      const bool is_loop = watch.IsBackAt(frame);
      if (is_loop || !Step(frame)) {
        walk_.end = is_loop ? PythonWalkEnd::kLoop : PythonWalkEnd::kBroken;
        return;
      }
      frame = walk_.steps.back().previous;
    }
  }

 private:
  bool Step(RuntimeAddress frame) {
    const PythonLayout& layout = objects_.layout();
    const python_walk_layout& places = layout.walk;
    std::array<std::byte, PYTHON_MOST_FRAME_SIZE> buffer;
    if (places.frame_size > buffer.size()) {
      return false;
    }
    const std::span<std::byte> bytes = std::span(buffer).first(places.frame_size);
    if (objects_.memory().Read(frame, bytes) != bytes.size()) {
      return false;
    }
    PythonWalkStep step{.frame = frame,
                        .code = RuntimeAddress(WordAt(bytes, places.frame_code) & places.code_mask),
                        .previous = RuntimeAddress(WordAt(bytes, places.frame_previous))};
    const uint8_t entry = ByteReader(bytes, places.frame_entry).U8();
    if (places.entries == PYTHON_ENTRY_OWNER && entry >= places.own_owner) {
      step.is_own = true;
      if (!walk_.frames.empty()) {
        walk_.frames.back().is_entry = 1;
      }
      walk_.steps.push_back(step);
      return true;
    }
    if (step.code != last_code_) {
      last_facts_ = ReadCode(objects_, step.code);
      last_code_ = step.code;
    }
    if (!last_facts_) {
      return false;
    }
    const uint64_t instruction =
        ByteReader(bytes, places.frame_instruction).Unsigned(places.instruction_bytes);
    step.code_type = last_facts_->type;
    step.is_instruction_inside = IsInside(layout, *last_facts_, instruction);
    const bool is_entry =
        places.entries == PYTHON_ENTRY_ALL || (places.entries == PYTHON_ENTRY_FLAG && entry != 0);
    walk_.frames.push_back({.code = step.code.value(),
                            .instruction = instruction,
                            .check = last_facts_->check,
                            .is_entry = is_entry ? 1U : 0U});
    walk_.steps.push_back(step);
    return true;
  }

  const PythonObjects& objects_;
  PythonWalk& walk_;
  // Recursion asks for the same again and again.
  RuntimeAddress last_code_;
  std::optional<CodeFacts> last_facts_;
};

bool HasFrameTwice(const PythonWalk& walk) {
  std::vector<RuntimeAddress> frames;
  frames.reserve(walk.steps.size());
  for (const PythonWalkStep& step : walk.steps) {
    frames.push_back(step.frame);
  }
  std::ranges::sort(frames);
  return std::ranges::adjacent_find(frames) != frames.end();
}

// The instruction of a running thread's frame may change: that is no other stack.
bool IsTopUnchanged(const PythonObjects& objects, const PythonThread& thread,
                    const PythonWalk& walk) {
  const std::optional<RuntimeAddress> frame = CurrentFrameOf(objects, thread.state);
  if (!frame || *frame != thread.frame) {
    return false;
  }
  if (walk.steps.empty()) {
    return true;
  }
  const PythonWalkStep& top = walk.steps.front();
  const python_walk_layout& places = objects.layout().walk;
  const auto code = objects.memory().ReadValue<uint64_t>(top.frame + places.frame_code);
  const auto previous = objects.ReadPointer(top.frame + places.frame_previous);
  return code && previous && (*code & places.code_mask) == top.code.value() &&
         *previous == top.previous;
}

}  // namespace

std::optional<RuntimeAddress> CurrentFrameOf(const PythonObjects& objects, RuntimeAddress state) {
  const auto word =
      objects.memory().ReadValue<uint64_t>(state + objects.layout().walk.thread_frame);
  return word ? FrameIn(objects, *word) : std::nullopt;
}

std::optional<PythonThread> ReadPythonThreadAgain(const PythonObjects& objects,
                                                  const PythonThread& thread) {
  RuntimeAddress next;
  std::optional<PythonThread> now = ReadThread(objects, thread.interpreter, thread.state, next);
  const bool is_same = now && now->owner == thread.owner && now->pthread == thread.pthread &&
                       now->native_id == thread.native_id;
  return is_same ? now : std::nullopt;
}

std::vector<PythonThread> ListPythonThreads(const PythonObjects& objects) {
  const python_walk_layout& walk = objects.layout().walk;
  const auto read = [&objects](RuntimeAddress from) {
    return objects.ReadPointer(from).value_or(RuntimeAddress());
  };
  std::vector<PythonThread> threads;
  RuntimeAddress interpreter = read(RuntimeAddress(walk.interpreters));
  LoopWatch interpreters;
  for (size_t i = 0; i < kMostInterpreters && interpreter.value() != 0; ++i) {
    if (interpreters.IsBackAt(interpreter)) {
      break;
    }
    RuntimeAddress state = read(interpreter + walk.interpreter_threads);
    LoopWatch states;
    while (state.value() != 0 && threads.size() < kMostThreads && !states.IsBackAt(state)) {
      RuntimeAddress next;
      const std::optional<PythonThread> thread = ReadThread(objects, interpreter, state, next);
      if (!thread) {
        break;
      }
      threads.push_back(*thread);
      state = next;
    }
    interpreter = read(interpreter + walk.interpreter_next);
  }
  return threads;
}

RuntimeAddress OutermostFrame(const PythonWalk& walk) {
  const auto step = std::find_if(walk.steps.rbegin(), walk.steps.rend(),
                                 [](const PythonWalkStep& each) { return !each.is_own; });
  return step == walk.steps.rend() ? RuntimeAddress() : step->frame;
}

PythonWalk WalkPythonThread(const PythonObjects& objects, const PythonThread& thread) {
  PythonWalk walk;
  Walker(objects, walk).Run(thread.frame);
  return walk;
}

std::string_view Text(PythonWalkFault fault) {
  switch (fault) {
    case PythonWalkFault::kNone:
      return "none";
    case PythonWalkFault::kNotEnded:
      return "a frame cannot be read";
    case PythonWalkFault::kChanged:
      return "the frames change";
    case PythonWalkFault::kFrameTwice:
      return "a chain of frames comes back to a frame";
    case PythonWalkFault::kNoCode:
      return "a frame has no code object";
    case PythonWalkFault::kOutsideCode:
      return "a frame's instruction is not in its code";
  }
  return "unknown";
}

PythonWalkFault CheckPythonWalk(const PythonObjects& objects, RuntimeAddress code_type,
                                const PythonThread& thread, const PythonWalk& walk) {
  if (walk.end == PythonWalkEnd::kBroken) {
    return PythonWalkFault::kNotEnded;
  }
  for (const PythonWalkStep& step : walk.steps) {
    if (!step.is_own && step.code_type != code_type) {
      return PythonWalkFault::kNoCode;
    }
    if (!step.is_own && !step.is_instruction_inside) {
      return PythonWalkFault::kOutsideCode;
    }
  }
  if (walk.end == PythonWalkEnd::kLoop || HasFrameTwice(walk)) {
    return PythonWalkFault::kFrameTwice;
  }
  return IsTopUnchanged(objects, thread, walk) ? PythonWalkFault::kNone : PythonWalkFault::kChanged;
}

}  // namespace whyslow
