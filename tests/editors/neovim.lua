-- Opens a program in Neovim, and writes what it shows as JSON into the file that $SEEN names.

local function at(line, pattern)
  local text = vim.fn.getline(line)
  return vim.fn.synIDattr(vim.fn.synID(line, vim.fn.match(text, pattern) + 1, 1), "name")
end

local seen = { filetype = vim.bo.filetype, comment = vim.bo.commentstring, colors = {} }
for _, place in ipairs(vim.fn.json_decode(vim.env.PLACES)) do
  table.insert(seen.colors, at(place[1], place[2]))
end
seen.started = vim.wait(30000, function() return #vim.diagnostic.get(0) > 0 end, 50)
seen.diagnostics = vim.tbl_map(function(one)
  return { one.lnum + 1, one.col + 1, one.code, one.message }
end, vim.diagnostic.get(0))

vim.fn.cursor(2, 9)
local answers = vim.lsp.buf_request_sync(0, "textDocument/hover", vim.lsp.util.make_position_params(), 30000)
seen.hover = answers[next(answers)].result.contents.value

vim.cmd("silent make!")
local listed = vim.tbl_filter(function(one) return one.valid == 1 end, vim.fn.getqflist())
seen.quickfix = vim.tbl_map(function(one) return { vim.fn.bufname(one.bufnr), one.lnum, one.col, one.type, one.text } end, listed)

vim.cmd("%s/ y)/ x)/")
seen.mended = vim.wait(30000, function() return #vim.diagnostic.get(0) == 0 end, 50)
if vim.lsp.buf.format then vim.lsp.buf.format() else vim.lsp.buf.formatting_sync(nil, 30000) end
seen.formatted = vim.fn.getline(1, "$")

vim.fn.setline(4, "    return block(block(x))")
vim.lsp.codelens.refresh()
vim.wait(30000, function() return #vim.lsp.codelens.get(0) > 0 end, 50)
vim.fn.cursor(2, 1)
vim.lsp.codelens.run()
vim.wait(30000, function() return #vim.fn.getqflist() > 1 end, 50)
seen.members = vim.tbl_map(function(one) return { one.lnum, one.col } end, vim.fn.getqflist())
seen.cursor = vim.fn.getcurpos()
vim.fn.writefile({ vim.fn.json_encode(seen) }, vim.env.SEEN)
vim.cmd("qall!")
