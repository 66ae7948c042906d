autocmd BufNewFile,BufRead *.wsd setfiletype wsdl
