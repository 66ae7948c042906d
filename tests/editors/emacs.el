;; Prints what Emacs makes of a program, as JSON: the mode, the faces at the words of $PLACES, the text indented anew.

(require 'json)
(load-file (getenv "MODE"))
(find-file (getenv "PROGRAM"))
(font-lock-ensure)
(let ((case-fold-search nil) faces)
  (dolist (word (append (json-read-from-string (getenv "PLACES")) nil))
    (goto-char (point-min))
    (search-forward word)
    (push (or (get-text-property (1- (point)) 'face) 'none) faces))
  (indent-region (point-min) (point-max))
  (princ (json-encode `((mode . ,major-mode) (faces . ,(vconcat (nreverse faces))) (text . ,(buffer-string))))))
