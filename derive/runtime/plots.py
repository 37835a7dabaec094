def check_plot(path): pass
