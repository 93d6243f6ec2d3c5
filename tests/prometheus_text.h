// SPDX-License-Identifier: Apache-2.0
//
// A strict reader of the text format of Prometheus, version 0.0.4, for tests. It takes less than a server does: one
// line of help and one of type stand before the samples of a family, names and types follow the conventions, and a
// histogram is whole.
#pragma once

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <map>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace vecstore::test {

class PrometheusText {
 public:
  explicit PrometheusText(const std::string& text) {
    if (!text.ends_with('\n')) fault_ = "the last line has no end";
    std::istringstream lines(text);
    for (std::string line; fault_.empty() && std::getline(lines, line);) read(line);
    if (fault_.empty()) end_family();
    if (fault_.empty() && types_.empty()) fault_ = "nothing is there";
  }

  const std::string& fault() const { return fault_; }  // the first; empty: the text is sound
  const std::map<std::string, std::string>& types() const { return types_; }
  // NaN where there is no such sample; labels are part of the name.
  double value(const std::string& name) const {
    const auto found = samples_.find(name);
    return found == samples_.end() ? std::numeric_limits<double>::quiet_NaN() : found->second;
  }

 private:
  struct Bucket {
    double bound = 0;
    double count = 0;
  };

  static bool is_name(std::string_view name) {
    return name.starts_with("vecstore_") && std::ranges::all_of(name, [](char c) {
             return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
           });
  }
  static bool is_number(std::string_view text, double& number) {
    if (text == "+Inf") {
      number = std::numeric_limits<double>::infinity();
      return true;
    }
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    return error == std::errc() && end == text.data() + text.size() && std::isfinite(number);
  }

  void read(const std::string& line) {
    if (line.starts_with("# HELP ")) {
      end_family();
      read_help(line.substr(7));
    } else if (line.starts_with("# TYPE ")) {
      read_type(line.substr(7));
    } else {
      read_sample(line);
    }
    if (!fault_.empty()) fault_ += ": " + line;
  }
  void read_help(const std::string& rest) {
    const std::size_t space = rest.find(' ');
    family_ = rest.substr(0, space);
    type_.clear();
    if (!is_name(family_)) fault_ = "this is no name";
    if (types_.contains(family_)) fault_ = "the family comes twice";
    if (space == std::string::npos || space + 1 == rest.size()) fault_ = "no help is there";
  }
  void read_type(const std::string& rest) {
    const std::size_t space = rest.find(' ');
    if (family_.empty() || rest.substr(0, space) != family_ || !type_.empty()) {
      fault_ = "the type stands elsewhere than behind its help";
      return;
    }
    type_ = space == std::string::npos ? "" : rest.substr(space + 1);
    types_[family_] = type_;
    const bool is_total = family_.ends_with("_total");
    if (type_ == "counter" ? !is_total : is_total) fault_ = "counters, and they alone, end in _total";
    if (type_ == "histogram" && !family_.ends_with("_seconds")) fault_ = "the unit is missing";
    if (type_ != "counter" && type_ != "gauge" && type_ != "histogram") fault_ = "this is no type";
  }
  void read_sample(const std::string& line) {
    const std::size_t space = line.find(' ');
    const std::string name = line.substr(0, space);
    double number = 0;
    if (space == std::string::npos || !is_number(std::string_view(line).substr(space + 1), number) || number < 0) {
      fault_ = "this is no sample";
    } else if (type_.empty()) {
      fault_ = "help and type are missing before it";
    } else if (!samples_.try_emplace(name, number).second) {
      fault_ = "the sample comes twice";
    } else if (type_ == "histogram") {
      read_part(name, number);
    } else if (name != family_) {
      fault_ = "the sample is of another family";
    }
  }
  // Of a histogram: buckets, sum, count, in this order.
  void read_part(const std::string& name, double number) {
    const std::string head = family_ + "_bucket{le=\"";
    Bucket bucket{0, number};
    if (name.starts_with(head) && name.ends_with("\"}")) {
      const std::string_view bound = std::string_view(name).substr(head.size(), name.size() - head.size() - 2);
      if (!is_number(bound, bucket.bound)) fault_ = "the bound is no number";
      if (samples_.contains(family_ + "_sum")) fault_ = "a bucket comes behind the sum";
      if (!buckets_.empty() && bucket.bound <= buckets_.back().bound) fault_ = "bounds do not ascend";
      if (!buckets_.empty() && bucket.count < buckets_.back().count) fault_ = "counts are not cumulative";
      buckets_.push_back(bucket);
    } else if (name == family_ + "_count") {
      if (!samples_.contains(family_ + "_sum")) fault_ = "the count comes before the sum";
    } else if (name != family_ + "_sum") {
      fault_ = "the sample is of another family";
    }
  }
  void end_family() {
    if (!fault_.empty() || family_.empty()) return;
    if (type_ == "histogram") {
      if (buckets_.empty() || std::isfinite(buckets_.back().bound)) {
        fault_ = "the last bucket is not +Inf";
      } else if (buckets_.back().count != value(family_ + "_count")) {
        fault_ = "the last bucket is not the count";
      }
    } else if (!samples_.contains(family_)) {
      fault_ = "the family has no sample";
    }
    if (!fault_.empty()) fault_ += ": " + family_;
    buckets_.clear();
    family_.clear();
    type_.clear();
  }

  std::string fault_;
  std::map<std::string, std::string> types_;  // by family
  std::map<std::string, double> samples_;
  std::string family_, type_;
  std::vector<Bucket> buckets_;
};

}  // namespace vecstore::test
