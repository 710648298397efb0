#include "symbolizer/demangled_size.h"

#include <absl/container/flat_hash_map.h>
#include <llvm/Demangle/ItaniumDemangle.h>

#include <algorithm>
#include <cstddef>
#include <limits>
#include <memory>
#include <new>
#include <utility>
#include <vector>

namespace whyslow {
namespace {

namespace itanium = llvm::itanium_demangle;

constexpr uint64_t kHuge = std::numeric_limits<uint64_t>::max() / 4;
// With fewer substitutions than this a symbol of the length that we accept cannot explode.
constexpr int kFewSubstitutions = 10;

uint64_t Sum(uint64_t a, uint64_t b) { return a > kHuge || b > kHuge ? kHuge : a + b; }
uint64_t Product(uint64_t a, uint64_t b) { return b != 0 && a > kHuge / b ? kHuge : a * b; }

// Memory for the parser's nodes, freed at once. They have trivial destructors.
class NodeArena {
 public:
  void reset() {
    blocks_.clear();
    left_ = 0;
  }

  template <class T, class... Args>
  T* makeNode(Args&&... args) {  // NOLINT(readability-identifier-naming): the parser calls it so
    return new (Allocate(sizeof(T))) T(std::forward<Args>(args)...);
  }

  void* allocateNodeArray(size_t count) {  // NOLINT(readability-identifier-naming)
    return Allocate(sizeof(itanium::Node*) * count);
  }

 private:
  void* Allocate(size_t size) {
    constexpr size_t kBlock = 4096;
    size = (std::max<size_t>(size, 1) + alignof(std::max_align_t) - 1) / alignof(std::max_align_t) *
           alignof(std::max_align_t);
    if (size > left_) {
      left_ = std::max(size, kBlock);
      blocks_.push_back(std::make_unique<std::byte[]>(left_));
      next_ = blocks_.back().get();
    }
    void* result = next_;
    next_ += size;
    left_ -= size;
    return result;
  }

  std::vector<std::unique_ptr<std::byte[]>> blocks_;
  std::byte* next_ = nullptr;
  size_t left_ = 0;
};

// Adds up the lengths of a tree whose nodes are shared (that is what substitutions are), each node
// once.
class SizeVisitor {
 public:
  uint64_t SizeOf(const itanium::Node* node) {
    if (node == nullptr) {
      return 0;
    }
    const auto [known, is_new] = sizes_.try_emplace(node, 0);
    if (!is_new) {
      return known->second;  // 0 for a node within itself: the printer stops there as well
    }
    uint64_t size = 0;
    node->visit([&](const auto* actual) { size = SizeOfNode(actual); });
    sizes_[node] = size;
    return size;
  }

 private:
  // Keywords, operators and brackets that a node adds around its children.
  static constexpr uint64_t kOwnText = 24;

  template <class NodeType>
  uint64_t SizeOfNode(const NodeType* node) {
    uint64_t size = kOwnText;
    node->match([&](const auto&... parts) { ((size = Sum(size, SizeOfPart(parts))), ...); });
    return size;
  }
  uint64_t SizeOfNode(const itanium::ForwardTemplateReference* node) { return SizeOf(node->Ref); }
  uint64_t SizeOfNode(const itanium::ParameterPackExpansion* node) {
    uint64_t size = 0;
    node->match([&](const itanium::Node* child) { size = SizeOf(child); });
    // The pattern is printed once for each element of the pack in it, which has been seen by now.
    return Product(size, widest_pack_);
  }
  uint64_t SizeOfNode(const itanium::ParameterPack* node) {
    uint64_t size = 0;
    node->match([&](itanium::NodeArray elements) {
      widest_pack_ = std::max<uint64_t>(widest_pack_, elements.size());
      size = SizeOfPart(elements);
    });
    return size;
  }

  uint64_t SizeOfPart(const itanium::Node* node) { return SizeOf(node); }
  uint64_t SizeOfPart(itanium::NodeArray nodes) {
    uint64_t size = 0;
    for (const itanium::Node* node : nodes) {
      size = Sum(size, Sum(SizeOf(node), 2));
    }
    return size;
  }
  uint64_t SizeOfPart(itanium::StringView text) { return text.size(); }
  template <class Other>
  uint64_t SizeOfPart(const Other&) {
    return 16;  // a number or a flag
  }

  uint64_t widest_pack_ = 1;
  absl::flat_hash_map<const itanium::Node*, uint64_t> sizes_;
};

bool MayExplode(const std::string& symbol) {
  int substitutions = 0;
  for (size_t i = 0; i + 1 < symbol.size(); ++i) {
    const char next = symbol[i + 1];
    const bool is_reference =
        next == '_' || (next >= '0' && next <= '9') || (next >= 'A' && next <= 'Z');
    substitutions += (symbol[i] == 'S' || symbol[i] == 'T') && is_reference ? 1 : 0;
  }
  return substitutions > kFewSubstitutions;
}

}  // namespace

uint64_t DemangledSizeBound(const std::string& symbol) {
  if (!MayExplode(symbol)) {
    return symbol.size();
  }
  itanium::ManglingParser<NodeArena> parser(symbol.data(), symbol.data() + symbol.size());
  const itanium::Node* tree = parser.parse();
  if (tree == nullptr) {
    return 0;
  }
  return SizeVisitor().SizeOf(tree);
}

}  // namespace whyslow
