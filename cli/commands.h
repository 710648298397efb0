// The commands, one function each: options in, exit code out; what there is to say goes to the
// console.
#pragma once

#include "cli/console.h"
#include "cli/exit_codes.h"
#include "cli/options.h"

namespace whyslow {

ExitCode RunAttach(const Options& options, const Console& console);
// With --propagate-status the result is the child's exit status, any number.
int RunRun(const Options& options, const Console& console);
ExitCode RunDump(const Options& options, const Console& console);
ExitCode RunReplay(const Options& options, const Console& console);
ExitCode RunReport(const Options& options, const Console& console);
ExitCode RunExport(const Options& options, const Console& console);
ExitCode RunDiff(const Options& options, const Console& console);
ExitCode RunDoctor(const Options& options, const Console& console);

}  // namespace whyslow
