-- Options of a buffer with a program, and the language server. `vim.g.wsdl_command` names another command than `wsdl`.

vim.bo.commentstring = "# %s"
vim.bo.comments = "b:##,b:#"
vim.bo.shiftwidth = 4
vim.bo.expandtab = true
vim.bo.makeprg = (vim.g.wsdl_command or "wsdl") .. " check --output-format concise %:S"
vim.bo.errorformat = "%f:%l:%c: %t%*[a-z][%*[A-Z0-9]]: %m"

if vim.fn.has("nvim-0.9") == 1 then -- what is stored once and read several times
  vim.api.nvim_set_hl(0, "@lsp.mod.shared.wsdl", { default = true, bold = true, fg = "#b5730a", ctermfg = 136 })
end

local command = vim.g.wsdl_command or "wsdl"
if vim.fn.executable(command) == 0 then
  return
end

-- A code lens lists the layers that share, and goes to the first: `:cnext` goes on.
vim.lsp.commands["wsdl.showMembers"] = function(lens, context)
  local encoding = vim.lsp.get_client_by_id(context.client_id).offset_encoding
  local items = vim.lsp.util.locations_to_items(lens.arguments[3], encoding)
  vim.fn.setqflist({}, " ", { title = lens.title, items = items })
  vim.cmd("cfirst")
end
local capabilities = vim.lsp.protocol.make_client_capabilities()
capabilities.experimental = { commands = { "wsdl.showMembers" } }

local folder = vim.fn.expand("%:p:h")
local config = { name = "wsdl", cmd = { command, "lsp" }, root_dir = folder, capabilities = capabilities }
if vim.lsp.start then -- from Neovim 0.8
  vim.lsp.start(config)
else
  _G.wsdl_clients = _G.wsdl_clients or {} -- folder -> client
  local client = _G.wsdl_clients[folder]
  if not client or not vim.lsp.get_client_by_id(client) then
    client = vim.lsp.start_client(config)
    _G.wsdl_clients[folder] = client
  end
  vim.lsp.buf_attach_client(0, client)
end
