// SPDX-License-Identifier: Apache-2.0
//
// A store's rows as files that other programs read.
#pragma once

#include "base/io.h"
#include "base/status.h"
#include "engine/content/view.h"
#include "engine/options.h"

namespace vecstore {

// Writes what Store::export_to() says.
Status export_view(FileSystem& file_system, const View& view, const ExportFiles& files, const ExportOptions& options);

}  // namespace vecstore
