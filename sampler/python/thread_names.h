// What threading.Thread calls a thread.
#pragma once

#include <optional>
#include <string>

#include "sampler/python/code_reader.h"
#include "sampler/python/objects.h"
#include "sampler/python/thread_walk.h"

namespace whyslow {

// The name of the Thread object that the thread's outermost function, Thread._bootstrap, was called
// with. nullopt: it was started in another way (the main thread, threads of C and of _thread), or
// it cannot be read now.
std::optional<std::string> NameOfPythonThread(const PythonObjects& objects, PythonCodeReader& codes,
                                              const PythonWalk& walk);

// Likewise, of a thread whose outermost frame is here. It may have ended since: then what is there
// now does not fit, and there is no name.
std::optional<std::string> NameByOutermostFrame(const PythonObjects& objects,
                                                PythonCodeReader& codes,
                                                const python_raw_frame& outermost,
                                                RuntimeAddress frame);

}  // namespace whyslow
