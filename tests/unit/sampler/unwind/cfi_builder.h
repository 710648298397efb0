// Writes CFI records and small ELF files for tests.
#pragma once

#include <elf.h>

#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "elf/module_file.h"

namespace whyslow {

using CfiBytes = std::vector<uint8_t>;

inline void Append(CfiBytes& out, std::initializer_list<int> bytes) {
  for (const int byte : bytes) {
    out.push_back(static_cast<uint8_t>(byte));
  }
}
template <class T>
void AppendNumber(CfiBytes& out, T value) {
  const size_t at = out.size();
  out.resize(at + sizeof(value));
  std::memcpy(out.data() + at, &value, sizeof(value));
}

// An .eh_frame section, record by record. Code and data alignment factors are 1 and -8, the return
// address is in column 16 (x86-64) unless said otherwise; pointers are pc-relative, 4 bytes.
class EhFrameBuilder {
 public:
  explicit EhFrameBuilder(uint64_t address) : address_(address) {}

  // Returns the place of the record, for AddFunction.
  size_t AddCommon(std::string_view augmentation, std::initializer_list<int> instructions,
                   int return_register = 16, int code_align = 1, int data_align = 0x78) {
    CfiBytes body;
    AppendNumber(body, uint32_t{0});
    body.push_back(1);  // version
    body.insert(body.end(), augmentation.begin(), augmentation.end());
    body.push_back(0);
    Append(body, {code_align, data_align, return_register});
    CfiBytes data;
    for (const char letter : augmentation) {
      if (letter == 'R') {
        data.push_back(0x1b);
      } else if (letter == 'L') {
        data.push_back(0x1b);
      } else if (letter == 'P') {
        Append(data, {0x9b, 1, 2, 3, 4});
      }
    }
    if (augmentation.starts_with('z')) {
      body.push_back(static_cast<uint8_t>(data.size()));
      body.insert(body.end(), data.begin(), data.end());
    }
    Append(body, instructions);
    return AddRecord(body);
  }

  // The common record has to have "zR" in its augmentation.
  void AddFunction(size_t common, uint64_t start, uint32_t size,
                   std::initializer_list<int> instructions, bool has_language_data = false) {
    const uint64_t here = bytes_.size() + 4;
    CfiBytes body;
    AppendNumber(body, static_cast<uint32_t>(here - common));
    AppendNumber(body, static_cast<int32_t>(start - (address_ + here + 4)));
    AppendNumber(body, size);
    body.push_back(has_language_data ? 4 : 0);
    if (has_language_data) {
      AppendNumber(body, uint32_t{0});
    }
    Append(body, instructions);
    AddRecord(body);
  }

  void AddTerminator() { AppendNumber(bytes_, uint32_t{0}); }

  const CfiBytes& bytes() const { return bytes_; }
  std::span<const std::byte> span() const { return std::as_bytes(std::span(bytes_)); }
  uint64_t address() const { return address_; }

 private:
  size_t AddRecord(CfiBytes body) {
    while ((body.size() + 4) % 4 != 0) {
      body.push_back(0);  // DW_CFA_nop
    }
    const size_t at = bytes_.size();
    AppendNumber(bytes_, static_cast<uint32_t>(body.size()));
    bytes_.insert(bytes_.end(), body.begin(), body.end());
    return at;
  }

  uint64_t address_;
  CfiBytes bytes_;
};

// What "zR" CIEs of x86-64 compilers say: CFA = rsp + 8, return address at CFA - 8.
inline size_t AddUsualCommon(EhFrameBuilder& builder, std::string_view augmentation = "zR") {
  return builder.AddCommon(augmentation, {0x0c, 7, 8, 0x90, 1});
}

// An ELF file with one executable segment at address 0x1000 (code at file offset 0x1000) and CFI.
struct TestElf {
  uint16_t machine = EM_X86_64;
  uint64_t entry = 0;
  std::vector<uint8_t> code = std::vector<uint8_t>(0x1000, 0x90);
  std::vector<std::pair<std::string, std::pair<uint64_t, CfiBytes>>> sections;  // address, bytes
  bool has_section_headers = true;
  uint64_t index_address = 0;  // of PT_GNU_EH_FRAME, within the code; 0: none

  std::string Image() const {
    std::string image(0x1000, '\0');
    image.append(code.begin(), code.end());
    std::string names(1, '\0');
    std::vector<Elf64_Shdr> headers(1);
    for (const auto& [name, content] : sections) {
      Elf64_Shdr header{};
      header.sh_name = static_cast<uint32_t>(names.size());
      header.sh_type = name.starts_with(".note") ? SHT_NOTE : SHT_PROGBITS;
      header.sh_addr = content.first;
      header.sh_offset = image.size();
      header.sh_size = content.second.size();
      headers.push_back(header);
      names += name + '\0';
      image.append(content.second.begin(), content.second.end());
    }
    Elf64_Shdr names_header{};
    names_header.sh_name = static_cast<uint32_t>(names.size());
    names += std::string(".shstrtab") + '\0';
    names_header.sh_type = SHT_STRTAB;
    names_header.sh_offset = image.size();
    names_header.sh_size = names.size();
    headers.push_back(names_header);
    image += names;
    const uint64_t headers_at = image.size();
    for (const Elf64_Shdr& header : headers) {
      image.append(reinterpret_cast<const char*>(&header), sizeof(header));
    }
    WriteHeaders(image, headers_at, headers.size());
    return image;
  }

  ModuleFileRef Module() const {
    absl::StatusOr<ElfFile> elf = ElfFile::FromBytes(Image(), "test");
    return elf.ok() ? std::make_shared<ModuleFile>("/test", *std::move(elf)) : nullptr;
  }

 private:
  void WriteHeaders(std::string& image, uint64_t headers_at, size_t header_count) const {
    Elf64_Ehdr file{};
    std::memcpy(file.e_ident, ELFMAG, SELFMAG);
    file.e_ident[EI_CLASS] = ELFCLASS64;
    file.e_ident[EI_DATA] = ELFDATA2LSB;
    file.e_ident[EI_VERSION] = EV_CURRENT;
    file.e_type = ET_DYN;
    file.e_machine = machine;
    file.e_entry = entry;
    file.e_phoff = sizeof(file);
    file.e_phentsize = sizeof(Elf64_Phdr);
    file.e_phnum = index_address != 0 ? 2 : 1;
    file.e_shoff = has_section_headers ? headers_at : 0;
    file.e_shentsize = sizeof(Elf64_Shdr);
    file.e_shnum = static_cast<uint16_t>(header_count);
    file.e_shstrndx = static_cast<uint16_t>(header_count - 1);
    std::memcpy(image.data(), &file, sizeof(file));
    Elf64_Phdr text{};
    text.p_type = PT_LOAD;
    text.p_flags = PF_R | PF_X;
    text.p_offset = 0x1000;
    text.p_vaddr = 0x1000;
    text.p_filesz = code.size();
    text.p_memsz = code.size();
    std::memcpy(image.data() + sizeof(file), &text, sizeof(text));
    Elf64_Phdr index{};
    index.p_type = PT_GNU_EH_FRAME;
    index.p_offset = index_address;
    index.p_vaddr = index_address;
    index.p_filesz = 12;
    std::memcpy(image.data() + sizeof(file) + sizeof(text), &index, sizeof(index));
  }
};

}  // namespace whyslow
