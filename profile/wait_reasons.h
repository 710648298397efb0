// What names tell about waits: which lock a futex is, that a socket belongs to TLS or to the
// resolver, that a thread is idle.
#pragma once

#include "profile/profile.h"

namespace whyslow {

// For a profile with names. Where frames above a wait tell more than the system call did, the
// sample gets another leaf `[wait: KIND]` and label `wait`; for TLS also the label `tls`
// (handshake, read, write) where the names say which. Frames of the scheduler above the wait go. A
// wait of a thread that has nothing to do gets the label idle=yes. Samples that become equal are
// added up; all sums stay. Nothing changes the second time, and nothing in a profile without waits.
//
// Idle is a wait that looks like this, from the root: the thread's base, the function that waits,
// and around the wait itself nothing but libraries and well-known functions (event loops, queues,
// condition variables; profile/wait_name_tables.h). In detail:
// - The function that waits is the base's: main or the thread's function itself, a well-known loop
//   of a server (PostgresMain), or a frame that is a base by ThreadBases: no thread of this
//   process's name that was ever in it was seen outside of it. A handler is left again, so what it
//   waits for is not idle, whatever it is called.
// - Nothing is under way by its name: no function that works on a request (exec_simple_query),
// calls
//   a service (curl_easy_perform) or waits for a result (std::future) is on the stack.
// - The kind allows it. Accept: wherever it stands. Poll, event, condition, semaphore, signal,
// join,
//   child: at the base; of a poll, functions without names around it do not count. A
//   timer: where the function also calls others, so it is a loop. Futex, pipe, io_uring, and sleep
//   in a runtime: only in a well-known wait. A socket's data, also under TLS: in a well-known wait,
//   or where the function also calls others and the process accepts connections; its peer, where
//   known, is then the address that is accepted on. All others never: a program that waits for one
//   slow answer is not idle.
// - Its stack is whole.
// Time on the run queue, throttled or the like that has the stack of an idle wait of the same
// thread belongs to that wait.
Profile RefineWaits(Profile profile);

}  // namespace whyslow
