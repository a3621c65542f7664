/* Notebooks in a lecture hall: large, without code, with nothing around them; F9 shows the code.

   An extension of JupyterLab, written by hand in the form in which it loads them, so that nobody needs Node. It
   changes how the page looks and nothing else: no notebook, and none of a person's settings. */
"use strict";
(() => {
  // What stands around a notebook, by the ids that JupyterLab gives it.
  const AROUND = new Set([
    "jp-top-panel", "jp-menu-panel", "jp-bottom-panel", "jp-left-stack", "jp-right-stack",
    "jp-title-panel-title", "jp-down-stack",
  ]);
  const BARS = ["jp-NotebookPanel-toolbar", "jp-SideBar"];
  const READABLE = 940; // CSS pixels of a line of text and of an explorer, whatever the screen
  const STEP = 1.12;
  const BAR = 34; // CSS pixels of the strip of buttons below the notebook

  const STYLE = `
    .jp-cell-toolbar, .jp-Notebook-footer, .jp-CellHeader, .jp-Notebook .jp-Collapser,
    .jp-Notebook .jp-InputPrompt, .jp-Notebook .jp-OutputPrompt, .jp-OutputArea-promptOverlay { display: none !important; }
    .jp-Notebook .jp-Cell { zoom: var(--rx-present-zoom, 1.5); }
    .jp-Notebook .jp-Cell, .jp-Notebook .jp-InputArea-editor { outline: 0 !important; border-color: transparent !important; box-shadow: none !important; }
    .jp-Notebook .jp-MarkdownCell .jp-InputArea, .jp-Notebook .jp-MarkdownCell .jp-MarkdownOutput { border-color: transparent !important; outline: 0 !important; }
    .jp-Notebook .rx-page .rx-headline { font-size: 20px; }
    body.rx-present-quiet .jp-CodeCell .jp-Cell-inputWrapper .jp-InputArea { display: none; }
    body.rx-present-quiet .jp-CodeCell .jp-Cell-inputWrapper { min-height: 0; margin: 0; }
    body.rx-present-quiet .jp-CodeCell.jp-mod-noOutputs:not(.rx-present-ran) .jp-Cell-inputWrapper { cursor: pointer; }
    body.rx-present-quiet .jp-CodeCell.jp-mod-noOutputs:not(.rx-present-ran) .jp-Cell-inputWrapper::after {
      content: "▶  Run"; margin: 4px 0; padding: 4px 14px; border: 1px solid var(--jp-border-color1, #888);
      border-radius: 6px; color: var(--jp-ui-font-color1, inherit); font: 600 14px/1.4 var(--jp-ui-font-family, sans-serif);
    }
    body.rx-present-quiet .jp-CodeCell.jp-mod-noOutputs:not(.rx-present-ran).rx-present-runs .jp-Cell-inputWrapper::after { content: "Running ..."; }
    .rx-present-bar {
      position: fixed; z-index: 1000; inset: auto 0 0; height: ${BAR}px; display: flex; gap: 4px; justify-content: flex-end;
      align-items: center; padding: 0 8px; background: var(--jp-layout-color1, #fff); border-top: 1px solid var(--jp-border-color2, #ccc);
    }
    #main { bottom: ${BAR}px !important; }
    .rx-present-bar button {
      min-width: 32px; min-height: 28px; padding: 0 10px; border: 0; border-radius: 6px; background: transparent; cursor: pointer;
      color: var(--jp-ui-font-color1, #111); font: 600 14px/1 var(--jp-ui-font-family, sans-serif);
    }
    .rx-present-bar button:hover, .rx-present-bar button[aria-pressed="true"] { background: var(--jp-layout-color2, #ddd); }
    @media print { .rx-present-bar { display: none; } #main { bottom: 0 !important; } }
  `;

  /** All widgets below one, itself included. */
  const within = (widget) => [widget, ...[...widget.children()].flatMap(within)];

  /** The presenter's page, over JupyterLab's own. */
  class Presenter {
    constructor(app) {
      this.app = app;
      this.larger = 0;
      document.head.append(Object.assign(document.createElement("style"), { textContent: STYLE }));
      document.body.classList.add("rx-present-quiet");
      document.body.append(this.bar());
      addEventListener("resize", () => this.resize());
      addEventListener("keydown", (event) => this.key(event), true);
      addEventListener("click", (event) => this.click(event), true);
      this.resize();
      this.clear();
      this.watched = new WeakSet();
      this.watch();
      app.shell.update();
      dispatchEvent(new Event("resize")); // the shell measures its room anew
      // What comes later, another notebook or an extension's icon, brings its bars with it.
      app.shell.currentChanged?.connect(() => {
        this.clear();
        this.watch();
      });
      app.shell.layoutModified?.connect(() => this.clear());
    }

    /** Hide what stands around the notebook. It is not removed: all of its commands still work. */
    clear() {
      for (const widget of within(this.app.shell)) {
        if (AROUND.has(widget.id) || BARS.some((name) => widget.hasClass(name))) widget.hide();
      }
    }

    /** Mark the cells of the notebook in front that have run: one without a result needs no button any more. */
    watch() {
      const notebook = this.app.shell.currentWidget?.content;
      if (!notebook?.modelContentChanged || this.watched.has(notebook)) return;
      this.watched.add(notebook);
      const mark = () => {
        for (const cell of notebook.widgets) cell.node.classList.toggle("rx-present-ran", cell.model.executionCount > 0);
      };
      notebook.modelContentChanged.connect(mark);
      mark();
    }

    bar() {
      const bar = document.createElement("div");
      bar.className = "rx-present-bar";
      bar.setAttribute("role", "toolbar");
      bar.setAttribute("aria-label", "Presentation");
      const button = (label, title, action) => {
        const made = Object.assign(document.createElement("button"), { type: "button", textContent: label, title });
        made.addEventListener("click", action);
        bar.append(made);
        return made;
      };
      button("▶▶ Run all", "Run all cells", () => this.runAll());
      this.code = button("Code", "Show or hide the code (F9)", () => this.toggle());
      this.code.setAttribute("aria-pressed", "false");
      button("A−", "Smaller", () => this.resize(-1));
      button("A+", "Larger", () => this.resize(1));
      return bar;
    }

    /** JupyterLab goes to the last cell; a lecturer stays where the talk is. */
    runAll() {
      const notebook = this.app.shell.currentWidget?.content, here = notebook?.activeCellIndex;
      this.app.commands.execute("notebook:run-all-cells");
      if (here >= 0) notebook.activeCellIndex = here;
    }

    toggle() {
      const quiet = document.body.classList.toggle("rx-present-quiet");
      this.code.setAttribute("aria-pressed", String(!quiet));
    }

    resize(by = 0) {
      this.larger += by;
      const zoom = Math.max(1, (innerWidth / READABLE) * STEP ** this.larger);
      document.documentElement.style.setProperty("--rx-present-zoom", zoom.toFixed(3));
    }

    key(event) {
      if (event.key !== "F9") return;
      event.preventDefault();
      event.stopPropagation();
      this.toggle();
    }

    /** A hidden cell that was not run yet shows a button in its place. */
    click(event) {
      const cell = event.target.closest?.(".rx-present-quiet .jp-CodeCell.jp-mod-noOutputs:not(.rx-present-ran) .jp-Cell-inputWrapper")?.parentElement;
      if (!cell) return;
      cell.classList.add("rx-present-runs");
      const ran = this.app.commands.execute("notebook:run-cell");
      Promise.resolve(ran).finally(() => cell.classList.remove("rx-present-runs"));
    }
  }

  const plugin = {
    id: "resnet-explore-present:plugin",
    description: "Shows notebooks in a lecture hall.",
    autoStart: true,
    activate: (app) => void app.restored.then(() => new Presenter(app)),
  };
  window._JUPYTERLAB = window._JUPYTERLAB || {};
  window._JUPYTERLAB["resnet-explore-present"] = {
    init() {},
    get: async () => () => ({ __esModule: true, default: plugin }),
  };
})();
