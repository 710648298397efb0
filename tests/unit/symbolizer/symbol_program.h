// Names for every address of the small test programs, to be compared with what their source says.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/unique_fd.h"
#include "elf/module_file.h"
#include "profile/profile.h"
#include "symbolizer/symbolizer.h"

namespace whyslow {

inline std::string ProgramPath(const std::string& name) {
  return std::string(WHYSLOW_BINARY_DIR) + "/tests/programs/symbols/" + name;
}

// "shop.cc:11" for the line of the source that carries [marker].
inline std::string PlaceOf(const std::string& marker) {
  for (const char* name : {"shop.cc", "shop.h", "elsewhere.cc"}) {
    std::ifstream source(std::string(WHYSLOW_SOURCE_DIR) + "/tests/programs/symbols/" + name);
    int number = 1;
    for (std::string line; std::getline(source, line); ++number) {
      if (line.find("[" + marker + "]") != std::string::npos) {
        return std::string(name) + ":" + std::to_string(number);
      }
    }
  }
  return "no such marker";
}

inline ModuleFileRef OpenModule(const std::string& path) {
  absl::StatusOr<UniqueFd> fd = OpenReadOnly(path, /*regular_only=*/true);
  EXPECT_TRUE(fd.ok()) << path;
  const ModuleIdentity identity = IdentityOf(*fd);
  return std::make_shared<const ModuleFile>(path, *std::move(fd), identity);
}

// "Innermost(int) shop.cc:11 < shop::Cart<long>::Add(long) shop.cc:31 < ...", innermost first.
inline std::string DescribeLines(const Profile& profile, const Location& location) {
  std::string text;
  for (const Line& line : location.lines) {
    const Function& function = profile.FunctionAt(line.function);
    const std::string_view file = profile.Text(function.file);
    text += text.empty() ? "" : " < ";
    text += profile.Text(function.name);
    text += " " + std::string(file.substr(file.rfind('/') + 1)) + ":" + std::to_string(line.line);
  }
  return text;
}

struct NamedProgram {
  Profile profile;
  SymbolizeReport report;

  // Whether some address reads like this.
  bool Shows(const std::string& expected) const {
    return std::ranges::any_of(profile.locations, [&](const Location& location) {
      return DescribeLines(profile, location) == expected;
    });
  }
  std::vector<std::string> All() const {
    std::vector<std::string> all;
    for (const Location& location : profile.locations) {
      all.push_back(DescribeLines(profile, location));
    }
    std::ranges::sort(all);
    all.erase(std::unique(all.begin(), all.end()), all.end());
    return all;
  }
  const Function* Find(std::string_view name) const {
    const auto found = std::ranges::find_if(profile.functions, [&](const Function& function) {
      return profile.Text(function.name) == name;
    });
    return found == profile.functions.end() ? nullptr : &*found;
  }
};

// A profile that holds one location for each byte of the program's .text.
inline Profile EveryAddressOf(const ModuleFileRef& module) {
  Profile profile;
  profile.strings.push_back(module->path());
  profile.modules.push_back({.kind = ModuleKind::kFile, .path = StringIndex(1)});
  const ElfSection* text = module->elf()->FindSection(".text");
  for (uint64_t i = 0; text != nullptr && i < text->size; ++i) {
    profile.locations.push_back({.module = ModuleIndex(0), .address = text->address.value() + i});
  }
  return profile;
}

inline NamedProgram NameEverything(const std::string& program,
                                   const SymbolizeOptions& options = {}) {
  const ModuleFileRef module = OpenModule(ProgramPath(program));
  NamedProgram named{.profile = EveryAddressOf(module)};
  named.report = Symbolize(named.profile, {{.module = ModuleIndex(0), .file = module}}, options);
  return named;
}

}  // namespace whyslow
